use super::*;

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

const HELD: u64 = 7;
const OWN: u64 = 8;

fn socket(v6: bool) -> SocketFacts {
    SocketFacts { inode: OWN, kind: Some(Kind::Tcp), v6, v6only: v6.then_some(false), reuse_port: false }
}

fn asks(address: &str) -> BindFacts {
    let address = at(address);
    BindFacts {
        address,
        socket: Some(socket(address.is_ipv6())),
        own_network: true,
        polled: false,
        shared: false,
        others: BTreeSet::new(),
    }
}

/// The answer where `held` is held for `declared`.
fn answer(declared: &str, facts: &BindFacts) -> BindAnswer {
    answer_in(Way::Adopt, declared, Some(declared), facts)
}

fn answer_in(way: Way, declared: &str, held: Option<&str>, facts: &BindFacts) -> BindAnswer {
    let listen = Listen::Tcp(at(declared));
    let held = held.map(|held| HeldFacts { inode: HELD, address: at(held), v6only: false });
    bind(&PortView { listen: &listen, way, held }, facts)
}

#[test]
fn the_same_address_gets_the_held_socket() {
    for address in ["127.0.0.1:80", "0.0.0.0:80", "[::]:80", "[::1]:80", "[::ffff:127.0.0.1]:80"] {
        assert_eq!(answer(address, &asks(address)), BindAnswer::Give, "{address}");
    }
}

#[test]
fn what_is_not_in_the_way_is_not_looked_at() {
    let table = [("127.0.0.1:80", "127.0.0.1:81"), ("127.0.0.1:80", "127.0.0.2:80"), ("127.0.0.1:80", "[::1]:80")];
    for (declared, asked) in table {
        assert_eq!(answer(declared, &asks(asked)), BindAnswer::NotMine, "{declared} {asked}");
    }
    let mut udp = asks("127.0.0.1:80");
    udp.socket = Some(SocketFacts { kind: Some(Kind::Udp), ..socket(false) });
    assert_eq!(answer("127.0.0.1:80", &udp), BindAnswer::NotMine);
    // nginx: a socket for each family.
    let mut v6 = asks("[::]:80");
    v6.socket = Some(SocketFacts { v6only: Some(true), ..socket(true) });
    assert_eq!(answer("0.0.0.0:80", &v6), BindAnswer::NotMine);
    assert_eq!(answer_in(Way::Leave, "127.0.0.1:80", None, &asks("127.0.0.1:80")), BindAnswer::NotMine);
}

#[test]
fn what_is_in_the_way_and_not_the_same_is_let_go_of() {
    let other = |text: &str| Reason::OtherAddress(at(text));
    let family = |text: &str| Reason::OtherFamily(at(text));
    let table = [
        ("0.0.0.0:80", "127.0.0.1:80", other("127.0.0.1:80")),
        ("127.0.0.1:80", "0.0.0.0:80", other("0.0.0.0:80")),
        ("0.0.0.0:80", "[::]:80", family("[::]:80")),
        ("[::]:80", "0.0.0.0:80", family("0.0.0.0:80")),
        // The JVM's.
        ("127.0.0.1:80", "[::ffff:127.0.0.1]:80", family("[::ffff:127.0.0.1]:80")),
    ];
    for (declared, asked, reason) in table {
        assert_eq!(answer(declared, &asks(asked)), BindAnswer::LetGo(Some(reason)), "{declared} {asked}");
    }
}

#[test]
fn each_guard_refuses_for_its_own_reason() {
    let address = "[::]:80";
    let with = |change: &dyn Fn(&mut BindFacts)| {
        let mut facts = asks(address);
        change(&mut facts);
        answer(address, &facts)
    };
    let refused = |reason| BindAnswer::LetGo(Some(reason));
    let v6only = |v6only| Some(SocketFacts { v6only, ..socket(true) });
    assert_eq!(with(&|facts| facts.own_network = false), refused(Reason::OtherNetwork));
    assert_eq!(with(&|facts| facts.polled = true), refused(Reason::Polled));
    assert_eq!(with(&|facts| facts.shared = true), refused(Reason::Shared));
    assert_eq!(with(&|facts| facts.socket = None), refused(Reason::Unseen));
    assert_eq!(with(&|facts| facts.socket = v6only(None)), refused(Reason::OnlyV6Unknown));
    assert_eq!(with(&|facts| facts.socket = v6only(Some(true))), refused(Reason::OnlyV6(true)));
    let mut elsewhere = asks("0.0.0.0:80");
    elsewhere.own_network = false;
    assert_eq!(answer(address, &elsewhere), refused(Reason::OtherNetwork));
    // It makes no difference for one address.
    let mut one = asks("[::1]:80");
    one.socket = v6only(Some(true));
    assert_eq!(answer("[::1]:80", &one), BindAnswer::Give);
}

#[test]
fn a_generation_that_has_the_socket_already_is_left_to_the_kernel() {
    let mut again = asks("127.0.0.1:80");
    again.socket = Some(SocketFacts { inode: HELD, ..socket(false) });
    assert_eq!(answer("127.0.0.1:80", &again), BindAnswer::Already);
    let mut second = asks("127.0.0.1:80");
    second.others.insert(HELD);
    assert_eq!(answer("127.0.0.1:80", &second), BindAnswer::GoOn);
    second.socket = Some(SocketFacts { reuse_port: true, ..socket(false) });
    assert_eq!(answer("127.0.0.1:80", &second), BindAnswer::Beside);
}

#[test]
fn capture_lets_the_first_generation_bind_and_gives_its_socket_to_the_next() {
    let (address, facts) = ("127.0.0.1:80", asks("127.0.0.1:80"));
    assert_eq!(answer_in(Way::Capture, address, None, &facts), BindAnswer::LetGo(None));
    let elsewhere = BindFacts { own_network: false, ..facts.clone() };
    let refused = BindAnswer::LetGo(Some(Reason::OtherNetwork));
    assert_eq!(answer_in(Way::Capture, address, None, &elsewhere), refused);
    assert_eq!(answer_in(Way::Capture, address, Some(address), &facts), BindAnswer::Give);
    // What was captured is what counts, not what was declared.
    let java = asks("[::ffff:127.0.0.1]:80");
    assert_eq!(answer_in(Way::Capture, address, Some("[::ffff:127.0.0.1]:80"), &java), BindAnswer::Give);
    assert_eq!(answer_in(Way::Make, address, None, &java), BindAnswer::Make);
    let mut polled = facts;
    polled.polled = true;
    assert_eq!(answer_in(Way::Make, address, None, &polled), BindAnswer::LetGo(Some(Reason::Polled)));
}

#[test]
fn a_listen_is_the_held_sockets_or_kept_or_none_of_ours() {
    let declared = Listen::Tcp(at("0.0.0.0:80"));
    let held = Some(HeldFacts { inode: HELD, address: at("0.0.0.0:80"), v6only: false });
    let facts = |inode, bound: Option<&str>| ListenFacts {
        inode,
        bound: bound.map(|bound| (at(bound), false)),
        own_network: true,
    };
    let answer = |way, held, facts| listen(&PortView { listen: &declared, way, held }, &facts);
    assert_eq!(answer(Way::Adopt, held, facts(HELD, None)), ListenAnswer::Ours);
    assert_eq!(answer(Way::Adopt, held, facts(OWN, Some("0.0.0.0:80"))), ListenAnswer::NotMine);
    for bound in ["0.0.0.0:80", "[::]:80", "127.0.0.1:80"] {
        assert_eq!(answer(Way::Capture, None, facts(OWN, Some(bound))), ListenAnswer::Keep, "{bound}");
    }
    for bound in [None, Some("0.0.0.0:81")] {
        assert_eq!(answer(Way::Capture, None, facts(OWN, bound)), ListenAnswer::NotMine, "{bound:?}");
    }
    let elsewhere = ListenFacts { own_network: false, ..facts(OWN, Some("0.0.0.0:80")) };
    assert_eq!(answer(Way::Capture, None, elsewhere), ListenAnswer::NotMine);
}

#[test]
fn the_chain_of_fallbacks_ends_at_reserve() {
    let reason = Reason::Polled;
    assert_eq!(Way::Adopt.after(reason, true), Way::Capture);
    assert_eq!(Way::Adopt.after(reason, false), Way::Leave);
    assert_eq!(Way::Capture.after(reason, true), Way::Capture);
    assert_eq!(Way::Make.after(reason, false), Way::Leave);
    for reason in [Reason::OtherNetwork, Reason::Narrow, Reason::Unseen] {
        assert_eq!(Way::Adopt.after(reason, true), Way::Leave);
    }
}

#[test]
fn a_backlog_is_never_less_than_is_kept() {
    assert_eq!([backlog(5, 4096), backlog(5000, 4096), backlog(-1, 4096)], [4096, 5000, i32::MAX]);
}

#[test]
fn only_binds_to_a_declared_port_are_looked_into() {
    let listens = [Listen::Tcp(at("127.0.0.1:80")), Listen::Unix("/run/x".into())];
    assert!(concerns(&listens, at("[::]:80")));
    assert!(!concerns(&listens, at("127.0.0.1:0")) && !concerns(&listens, at("127.0.0.1:81")));
}

#[test]
fn a_socket_begins_to_block_only_when_nobody_else_has_it() {
    let table = [
        ((false, true, true), false),
        ((false, true, false), false),
        ((false, false, true), true),
        ((false, false, false), false),
        ((true, true, false), true),
        ((true, false, false), true),
    ];
    for ((asked, sole, now), wanted) in table {
        assert_eq!(nonblocking(asked, sole, now), wanted, "{asked} {sole} {now}");
    }
}
