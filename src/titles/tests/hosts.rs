//! Hosts that are slow, that may not be asked, or whose ports are not those of the web.

use super::*;

/// One page that is late is not waited for again at once, by whatever link or redirect; others are asked.
#[tokio::test]
async fn a_host_that_took_too_long_is_left_alone_for_a_while() {
    let silent = Site::start(&format!("{OUTSIDE}:0"), |_| Manner::Hangs).await;
    let (one, _) = fetcher(&[&[OUTSIDE]]);
    let late = format!("http://late.example:{}/", silent.address.port());
    assert_eq!(title(&one, &late).await, Err(FetchError::TimedOut));
    assert_eq!(title(&one, &late).await, Err(FetchError::Slow));
    let hop = Site::start(&format!("{OUTSIDE}:0"), move |_| redirect(&late)).await;
    assert_eq!(title(&one, &hop.url("/")).await, Err(FetchError::Slow));
    assert_eq!(silent.connections(), 1);
    let well = Site::start(&format!("{OUTSIDE}:0"), |_| page()).await;
    assert_eq!(title(&one, &well.url("/")).await.as_deref(), Ok("A page"));
}

/// The names of this machine, as every real link has them; and what may not be asked is not, at any hop.
#[tokio::test]
async fn names_are_looked_up_and_what_may_not_be_asked_is_not_asked_at_any_hop() {
    let site = Site::start(&format!("{INSIDE}:0"), |request| {
        if request.starts_with("GET /hop") { redirect("/own") } else { page() }
    })
    .await;
    let named = |path: &str| format!("http://localhost:{}{path}", site.address.port());
    let fetcher =
        Fetcher::new(Targets::parse("private").unwrap(), Box::new(|url| url.path() != "/own"));
    assert_eq!(title(&fetcher, &named("/")).await.as_deref(), Ok("A page"));
    for path in ["/own", "/hop"] {
        assert_eq!(title(&fetcher, &named(path)).await, Err(FetchError::Refused), "{path}");
    }
    assert_eq!(site.connections(), 2, "the page and the hop");
    let unknown = title(&fetcher, "http://no-such-host.invalid/").await;
    assert!(unknown.clone().is_err_and(FetchError::may_pass), "{unknown:?}");
}

/// Behind other ports than those of the web may be what is for few: an operator has to name where they are.
#[tokio::test]
async fn other_ports_are_asked_only_in_networks_that_are_named() {
    let (fetcher, looked_up) = fetcher(&[&["192.0.2.1", "1.1.1.1"]]);
    for url in ["http://1.1.1.1:8222/", "https://1.1.1.1:8443/", "http://[2606:4700::1]:22/"] {
        assert_eq!(title(&fetcher, url).await, Err(FetchError::Refused), "{url}");
    }
    let by_name = title(&fetcher, "http://a.example:8222/").await;
    assert_eq!((by_name, looked_up.load(Ordering::SeqCst)), (Err(FetchError::NoAddress), 1));
    let site = Site::start(&format!("{OUTSIDE}:0"), |_| page()).await;
    assert_eq!(title(&fetcher, &site.url("/")).await.as_deref(), Ok("A page"));
}
