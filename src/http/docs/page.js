// Builds a form for every operation of openapi.json. Texts are set as text, never as HTML.
"use strict";

const make = (tag, text) => Object.assign(document.createElement(tag), text ? { textContent: text } : {});

function field(parent, name, hint, tag = "input") {
  const label = parent.appendChild(make("label", name + " "));
  const input = label.appendChild(make(tag));
  input.placeholder = hint || "";
  input.dataset.name = name;
  return input;
}

function example(document_, schema) {
  if (!schema) return "";
  if (schema.$ref) return example(document_, schema.$ref.slice(2).split("/").reduce((o, k) => o[k], document_));
  if (schema.example !== undefined) return schema.example;
  if (schema.properties) {
    const required = new Set(schema.required || []);
    return Object.fromEntries(Object.entries(schema.properties)
      .filter(([name]) => required.has(name))
      .map(([name, inner]) => [name, example(document_, inner)]));
  }
  return schema.type === "array" ? [example(document_, schema.items)] : "";
}

function operation(document_, path, method, spec) {
  const box = make("details");
  const head = box.appendChild(make("summary"));
  head.append(make("b", method.toUpperCase()), path + " ");
  box.append(make("p", [spec.summary, spec.description].filter(Boolean).join(". ")));
  const inputs = (spec.parameters || []).map((p) => [p, field(box, p.name, p.description)]);
  const media = spec.requestBody && Object.keys(spec.requestBody.content)[0];
  const body = media && field(box, "body", media, "textarea");
  if (body) body.value = JSON.stringify(example(document_, spec.requestBody.content[media].schema), null, 2);
  const send = box.appendChild(make("button", "Send"));
  const answer = box.appendChild(make("pre"));
  send.addEventListener("click", async () => {
    let url = path;
    const query = new URLSearchParams();
    const headers = {};
    for (const [p, input] of inputs) {
      if (p.in === "path") url = url.replace(`{${p.name}}`, encodeURIComponent(input.value));
      else if (input.value && p.in === "query") query.set(p.name, input.value);
      else if (input.value && p.in === "header") headers[p.name] = input.value;
    }
    const key = document.getElementById("key").value;
    if (key) headers.Authorization = `Bearer ${key}`;
    if (body) headers["Content-Type"] = media;
    if ([...query].length) url += `?${query}`;
    try {
      const response = await fetch(url, { method: method.toUpperCase(), headers, body: body && body.value, redirect: "manual" });
      answer.textContent = `${response.status} ${response.statusText}\n${await response.text()}`;
    } catch (error) {
      answer.textContent = String(error);
    }
  });
  return box;
}

fetch("/openapi.json").then((response) => response.json()).then((document_) => {
  const list = document.getElementById("operations");
  list.replaceChildren();
  for (const [path, methods] of Object.entries(document_.paths)) {
    for (const [method, spec] of Object.entries(methods)) list.append(operation(document_, path, method, spec));
  }
});
