use super::*;

fn targets(text: &str) -> Targets {
    Targets::parse(text).unwrap()
}

fn allowed(targets: &Targets, url: &str) -> bool {
    targets.check(&url.parse().unwrap()).is_ok()
}

#[test]
fn public_addresses_are_admitted() {
    for address in [
        "1.1.1.1",
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.167.255.255",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "::ffff:1.1.1.1",
        "2001:4860:4860::8888",
        "2606:4700:4700::1111",
        "2001:200::1",
        "2003::1",
        "2a00:1450::1",
        "3ffe::1",
    ] {
        let address = address.parse().unwrap();
        assert!(targets("").admit(address, Way::Encrypted), "{address}");
        assert!(!targets("private").admit(address, Way::Plain), "{address} in clear");
    }
}

const SPECIAL_V4_TEXTS: [&str; 26] = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.0",
    "10.255.255.255",
    "100.64.0.0",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "192.168.255.255",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
];

const SPECIAL_V6_TEXTS: [&str; 29] = [
    "::",
    "::1",
    "::7f00:1",
    "::10.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::8.8.8.8",
    "64:ff9b:1::10.0.0.1",
    "100::1",
    "2001::1",
    "2001:0:7f00:1::",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:808:808::",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "febf::1",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
];

#[test]
fn addresses_that_are_not_for_everybody_are_refused() {
    for address in SPECIAL_V4_TEXTS.into_iter().chain(SPECIAL_V6_TEXTS) {
        let address = address.parse().unwrap();
        assert!(!targets("").admit(address, Way::Encrypted), "{address}");
        assert!(!targets("").admit(address, Way::Plain), "{address} in clear");
    }
}

/// However an address is spelled, the URL parser reads it as the connection does.
#[test]
fn a_url_is_refused_in_every_spelling_of_its_address() {
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "①②⑦.0.0.1",
        "127。0。0。1",
        "%31%32%37.0.0.1",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "169.254.169.254",
        "[fd00:ec2::254]",
        "0",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "ｌocalhost",
        "a.b.localhost",
    ] {
        for scheme in ["https", "http"] {
            let url = format!("{scheme}://{host}:9/hook");
            assert!(!allowed(&targets(""), &url), "{url}");
            assert!(!allowed(&targets("192.0.2.0/24"), &url), "{url}");
        }
    }
    for url in ["https://hooks.example.com/", "https://1.1.1.1/", "https://localhost.example/"] {
        assert!(allowed(&targets(""), url), "{url}");
    }
}

/// Where clouds keep the secrets of machines has to be named by itself, be it private or public otherwise.
#[test]
fn where_clouds_tell_secrets_is_opened_by_its_own_network_only() {
    for (secret, network) in [
        ("169.254.169.254", "169.254.0.0/16"),
        ("::ffff:169.254.169.254", "169.254.169.254"),
        ("100.100.100.200", "100.64.0.0/10"),
        ("168.63.129.16", "168.63.129.16"),
        ("::ffff:168.63.129.16", "168.63.129.0/24"),
        ("192.0.0.192", "192.0.0.0/24"),
        ("fd00:ec2::254", "fd00:ec2::/32"),
    ] {
        let address = secret.parse().unwrap();
        for way in [Way::Encrypted, Way::Plain] {
            for other in ["", "private", "private,10.1.0.0/16"] {
                assert!(!targets(other).admit(address, way), "{secret} by {other:?}");
            }
            assert!(targets(network).admit(address, way), "{secret} by {network}");
        }
    }
    for neighbour in ["100.100.100.201", "fd00:ec2::253"] {
        assert!(targets("private").admit(neighbour.parse().unwrap(), Way::Plain), "{neighbour}");
    }
    assert!(targets("").admit("168.63.129.17".parse().unwrap(), Way::Encrypted));
}

#[test]
fn what_the_operator_names_is_admitted_and_nothing_else() {
    let some = targets("10.1.0.0/16, 192.168.7.7 , fd00::/8,");
    for (address, admitted) in [
        ("10.1.2.3", true),
        ("::ffff:10.1.2.3", true),
        ("10.2.0.1", false),
        ("192.168.7.7", true),
        ("192.168.7.8", false),
        ("fd12::1", true),
        ("fc00::1", false),
        ("127.0.0.1", false),
    ] {
        let address = address.parse().unwrap();
        assert_eq!(some.admit(address, Way::Plain), admitted, "{address}");
        assert_eq!(some.admit(address, Way::Encrypted), admitted, "{address}");
    }
    assert!(allowed(&some, "http://10.1.0.1/") && !allowed(&some, "http://10.2.0.1/"));
    assert!(
        !allowed(&some, "http://localhost/") && allowed(&targets("private"), "http://localhost/")
    );
    assert!(targets("private").admit("100.100.0.1".parse().unwrap(), Way::Plain));
    // Where clouds keep the secrets of machines has to be named by itself.
    assert!(!allowed(&targets("private"), "http://169.254.169.254/"));
    assert!(allowed(&targets("169.254.0.0/16"), "http://169.254.169.254/"));
    for wrong in ["private networks", "10.0.0.0/33", "example.com", "10.0.0"] {
        assert!(Targets::parse(wrong).is_err(), "{wrong}");
    }
    assert!(!targets("").plain_is_allowed() && targets("private").plain_is_allowed());
}
