//! A Redis Cluster: three masters and a replica of each.

use std::{
    cell::RefCell,
    thread,
    time::{Duration, Instant},
};

use weir_ratelimit::{
    Key,
    redis::{Fault, OnFailure, Options, Source, Topology},
};

use crate::{
    Gateway, SECOND, limit, patient, run,
    server::{Server, free_port},
};

/// Its nodes: masters first, each with the replica three places further on.
struct Cluster {
    nodes: Vec<Option<Server>>,
    ids: Vec<String>,
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < 60 * SECOND, "not within a minute: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

impl Cluster {
    fn start() -> Option<Self> {
        let node = || {
            let bus = free_port().to_string();
            let mut arguments = vec!["--cluster-enabled", "yes", "--cluster-port", &bus];
            arguments.extend(["--cluster-node-timeout", "1500", "--repl-diskless-sync-delay", "0"]);
            Server::start(&arguments).map(|server| (server, bus))
        };
        let nodes = (0..6).map(|_| node()).collect::<Option<Vec<_>>>()?;
        let bulk = |said: String| said.lines().nth(1).unwrap_or_default().trim().to_owned();
        let ids: Vec<_> = nodes.iter().map(|(node, _)| bulk(node.ask("CLUSTER MYID"))).collect();
        let ok = |said: String| assert_eq!(said.trim(), "+OK");
        for (i, range) in ["0 5460", "5461 10922", "10923 16383"].iter().enumerate() {
            ok(nodes[i].0.ask(&format!("CLUSTER SET-CONFIG-EPOCH {}", i + 1)));
            ok(nodes[i].0.ask(&format!("CLUSTER ADDSLOTSRANGE {range}")));
        }
        for (node, bus) in &nodes[1..] {
            ok(nodes[0].0.ask(&format!("CLUSTER MEET 127.0.0.1 {} {bus}", node.port())));
        }
        until("everybody knows everybody", || {
            nodes.iter().all(|(node, _)| {
                let said = node.ask("CLUSTER NODES");
                ids.iter().all(|id| said.contains(id.as_str())) && !said.contains("handshake")
            })
        });
        for i in 3..6 {
            until("a replica", || {
                nodes[i].0.ask(&format!("CLUSTER REPLICATE {}", ids[i - 3])).trim() == "+OK"
            });
        }
        until("all is well", || {
            nodes.iter().all(|(node, _)| node.ask("CLUSTER INFO").contains("cluster_state:ok"))
                && nodes[3..]
                    .iter()
                    .all(|(node, _)| node.ask("INFO replication").contains("master_link_status:up"))
        });
        until("all know of the replicas, who may be elected then", || {
            nodes.iter().all(|(node, _)| node.ask("CLUSTER NODES").matches("slave").count() == 3)
        });
        Some(Self { nodes: nodes.into_iter().map(|(node, _)| Some(node)).collect(), ids })
    }

    fn node(&self, i: usize) -> &Server {
        self.nodes[i].as_ref().unwrap()
    }

    /// The options of a gateway that knows two of the nodes.
    fn options(&self) -> Options {
        let urls = [self.node(1).url(), self.node(3).url()];
        Options { topology: Topology::Cluster, ..patient(&urls) }
    }

    /// Which master owns the slot of a key, and the slot.
    fn owner(&self, key: Key) -> (usize, u64) {
        let digits = key.to_string();
        let said = self.node(0).ask(&format!("CLUSTER KEYSLOT {{{}}}", &digits[..16]));
        let slot: u64 = said.trim_start_matches(':').trim().parse().unwrap();
        let owner = [5_460, 10_922, 16_383].iter().position(|last| slot <= *last).unwrap();
        (owner, slot)
    }
}

fn faults(gateway: &Gateway) -> u64 {
    gateway.servers.counters().faults().map(|(_, count)| count).sum()
}

/// Keys lie all over the cluster; those with one tag are decided on in one call.
async fn keys_are_spread(cluster: &Cluster) {
    let limits =
        vec![limit("wide", 1, 10, OnFailure::Deny), limit("narrow", 1, 3, OnFailure::Deny)];
    let gateway = Gateway::new(cluster.options(), limits, Instant::now());
    for i in 0..30 {
        let client = format!("client {i}");
        for _ in 0..3 {
            let outcome = gateway.ask(&client).await;
            assert_eq!(outcome.source, Source::Server);
            assert!(outcome.verdict.allowed());
        }
        let denied = gateway.ask(&client).await;
        assert!(!denied.verdict.allowed());
        let wide = denied.verdict.rulings()[0].decision.remaining;
        assert!((7..=9).contains(&wide), "what another master charged was given back: {wide}");
    }
    assert_eq!(faults(&gateway), 0);
    assert_eq!(gateway.servers.standing().count(), 3);
    assert!(gateway.servers.standing().all(|(_, up)| up));
    for master in 0..3 {
        let size = cluster.node(master).ask("DBSIZE");
        let keys: usize = size.trim_start_matches(':').trim().parse().unwrap();
        assert!((8..=32).contains(&keys), "60 keys are spread: {keys}");
    }
    let before = gateway.servers.counters().answered();
    for i in 0..20 {
        let keys = gateway.keys(&format!("tagged {i}"));
        let keys = keys.iter().map(|key| key.beside(keys[0]));
        let pairs = gateway.limits.iter().zip(keys);
        let asks: Vec<_> = pairs.map(|(limit, key)| limit.ask(key, None)).collect();
        let outcome = gateway.shared.check(&asks, 1, gateway.now()).await;
        assert_eq!(outcome.source, Source::Server);
    }
    assert_eq!(gateway.servers.counters().answered() - before, 20);
}

/// A slot moves from one master to another, with requests at every step.
async fn a_slot_moves(cluster: &Cluster) {
    let limits = vec![limit("moving", 1, 50, OnFailure::Deny)];
    let gateway = Gateway::new(cluster.options(), limits, Instant::now());
    let key = gateway.keys("mover")[0];
    let ask = async || {
        let outcome = gateway.ask("mover").await;
        assert_eq!(outcome.source, Source::Server);
        outcome.verdict.rulings()[0].decision.remaining
    };
    assert_eq!(ask().await, 49);
    let (from, slot) = cluster.owner(key);
    let to = (from + 1) % 3;
    let (source, target) = (cluster.node(from), cluster.node(to));
    let set = |node: &Server, words: &str| {
        assert_eq!(node.ask(&format!("CLUSTER SETSLOT {slot} {words}")).trim(), "+OK");
    };
    set(target, &format!("IMPORTING {}", cluster.ids[from]));
    set(source, &format!("MIGRATING {}", cluster.ids[to]));
    assert!((48..=49).contains(&ask().await), "the key is still there");
    let digits = key.to_string();
    let name = format!("weir:rl1:{{{}}}{}", &digits[..16], &digits[16..]);
    let migrate = format!("MIGRATE 127.0.0.1 {} {name} 0 5000", target.port());
    assert_eq!(source.ask(&migrate).trim(), "+OK");
    assert!((47..=49).contains(&ask().await), "the new master is asked, with its leave");
    for node in [target, source] {
        set(node, &format!("NODE {}", cluster.ids[to]));
    }
    assert!((46..=49).contains(&ask().await), "the old master says who is the new one");
    tokio::time::sleep(SECOND / 2).await;
    ask().await;
    ask().await;
    let before = gateway.servers.counters().answered();
    ask().await;
    assert_eq!(gateway.servers.counters().answered(), before + 1);
    assert_eq!(faults(&gateway), 0);
}

#[test]
fn slots_and_where_they_go() {
    let Some(cluster) = Cluster::start() else { return };
    run(async {
        keys_are_spread(&cluster).await;
        a_slot_moves(&cluster).await;
    });
}

#[test]
fn a_master_is_killed() {
    const RATE: u64 = 20;
    const BURST: u64 = 10;
    const CLIENTS: usize = 12;
    let Some(mut cluster) = Cluster::start() else { return };
    let limits = vec![limit("failover", RATE, BURST, OnFailure::Deny)];
    let options = Options { timeout: SECOND / 5, ..cluster.options() };
    let gateway = Gateway::new(options, limits, Instant::now());
    let key = |client: usize| gateway.keys(&format!("client {client}"))[0];
    let owners: Vec<_> = (0..CLIENTS).map(|client| cluster.owner(key(client)).0).collect();
    let victim = owners[0];
    let killed = RefCell::new(None::<Instant>);
    let back = RefCell::new(None::<Duration>);
    let began = Instant::now();
    // When each was admitted, and the slowest answer.
    let admitted = RefCell::new(vec![0_u64; CLIENTS]);
    let slowest = RefCell::new(Duration::ZERO);
    run(async {
        let client = |i: usize| {
            let (gateway, killed, back) = (&gateway, &killed, &back);
            let (admitted, slowest, owners) = (&admitted, &slowest, &owners);
            async move {
                loop {
                    let asked = Instant::now();
                    let outcome = gateway.ask(&format!("client {i}")).await;
                    let took = asked.elapsed();
                    let since = killed.borrow().map(|killed: Instant| killed.elapsed());
                    if since.is_some() {
                        slowest.replace_with(|slowest| took.max(*slowest));
                    }
                    if outcome.verdict.allowed() {
                        admitted.borrow_mut()[i] += 1;
                        // What was on its way when it was killed does not count.
                        if let Some(since) = since.filter(|since| *since > SECOND / 2)
                            && owners[i] == victim
                        {
                            back.borrow_mut().get_or_insert(since);
                        }
                    }
                    let over = back
                        .borrow()
                        .is_some_and(|back| killed.borrow().unwrap().elapsed() > back + 2 * SECOND);
                    if over || began.elapsed() > 90 * SECOND {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        };
        let kill = async {
            tokio::time::sleep(2 * SECOND).await;
            // Dropped is killed, by its process id.
            drop(cluster.nodes[victim].take());
            killed.replace(Some(Instant::now()));
        };
        let clients = futures_util::future::join_all((0..CLIENTS).map(client));
        futures_util::future::join(kill, clients).await;
    });
    let length = began.elapsed().as_secs_f64();
    let (back, slowest) = (back.into_inner(), slowest.into_inner());
    println!("decided again after {back:?}, slowest {slowest:?}, faults {}", faults(&gateway));
    // One patience, and what a machine with much else to do takes.
    assert!(slowest < 2 * SECOND, "{slowest:?}");
    assert!(back.is_some(), "the new master was never asked");
    for (i, admitted) in admitted.into_inner().into_iter().enumerate() {
        let most = BURST as f64 + RATE as f64 * length;
        println!("client {i} on {}: {admitted} of {most:.0}", owners[i]);
        // A replica may be a moment behind: what was charged in it is forgotten.
        let slack = if owners[i] == victim { 5.0 } else { 0.0 };
        assert!(admitted as f64 <= most + slack, "client {i}: {admitted} of {most}");
    }
    let other = gateway.servers.counters().faults().find(|(fault, _)| *fault == Fault::Other);
    assert_eq!(other.unwrap().1, 0, "no reply was misunderstood");
    let new = cluster.node(victim + 3).port().to_string();
    let masters: Vec<_> = gateway.servers.standing().collect();
    assert!(masters.iter().any(|(name, up)| name.contains(&new) && *up), "{masters:?}");
}
