//! A DNS server that answers from a table which the test changes.

use std::{
    collections::HashMap,
    io::{Read, Write},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

/// What it says of a name; types of which nothing is written are empty.
#[derive(Debug, Clone)]
pub(super) enum Reply {
    /// These records, which hold for so many seconds.
    Records(Vec<Record>, u32),
    /// The name exists, and has nothing.
    Empty,
    /// There is no such name.
    NoSuchName,
    /// The server failed.
    Failure,
    /// Nothing at all.
    Silence,
}

#[derive(Debug, Clone)]
pub(super) enum Record {
    A(Ipv4Addr),
    Aaaa(Ipv6Addr),
    /// Priority, weight, port, target.
    Srv(u16, u16, u16, &'static str),
}

#[derive(Default)]
struct Table {
    names: HashMap<String, Reply>,
}

/// See the module's page. It stops when it is dropped.
pub(super) struct DnsServer {
    pub(super) address: SocketAddr,
    table: Arc<Mutex<Table>>,
    /// Questions over UDP and over TCP.
    asked: Arc<[AtomicUsize; 2]>,
    stopped: Arc<AtomicBool>,
}

/// Longest answer over UDP.
const UDP_MAX: usize = 1232;

impl DnsServer {
    pub(super) fn start() -> Self {
        let (tcp, udp) = loop {
            let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
            if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()) {
                break (tcp, udp);
            }
        };
        let address = tcp.local_addr().unwrap();
        let table = Arc::new(Mutex::new(Table::default()));
        let asked: Arc<[AtomicUsize; 2]> = Arc::default();
        let stopped = Arc::new(AtomicBool::new(false));
        let (shared, count, flag) = (table.clone(), asked.clone(), stopped.clone());
        udp.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        thread::spawn(move || {
            let mut packet = [0; 4096];
            while !flag.load(Ordering::Acquire) {
                let Ok((length, from)) = udp.recv_from(&mut packet) else { continue };
                count[0].fetch_add(1, Ordering::AcqRel);
                let answer = answer(&packet[..length], &shared.lock().unwrap());
                if let Some(mut answer) = answer {
                    if answer.len() > UDP_MAX {
                        // Truncated, with the question only.
                        answer[2] |= 2;
                        answer[6..8].fill(0);
                        answer.truncate(length.min(answer.len()));
                        let end = question_end(&answer);
                        answer.truncate(end);
                    }
                    let _ = udp.send_to(&answer, from);
                }
            }
        });
        let (shared, count, flag) = (table.clone(), asked.clone(), stopped.clone());
        thread::spawn(move || {
            for stream in tcp.incoming() {
                if flag.load(Ordering::Acquire) {
                    return;
                }
                let Ok(mut stream) = stream else { continue };
                count[1].fetch_add(1, Ordering::AcqRel);
                let mut length = [0; 2];
                if stream.read_exact(&mut length).is_err() {
                    continue;
                }
                let mut packet = vec![0; usize::from(u16::from_be_bytes(length))];
                if stream.read_exact(&mut packet).is_err() {
                    continue;
                }
                let answer = answer(&packet, &shared.lock().unwrap());
                if let Some(answer) = answer {
                    let length = u16::try_from(answer.len()).unwrap().to_be_bytes();
                    let _ = stream.write_all(&[&length[..], &answer].concat());
                }
            }
        });
        Self { address, table, asked, stopped }
    }

    /// From now on it says this of a name.
    pub(super) fn says(&self, name: &str, reply: Reply) {
        self.table.lock().unwrap().names.insert(name.to_owned(), reply);
    }

    /// It has these IPv4 addresses: their last bytes.
    pub(super) fn has(&self, name: &str, last: &[u8]) {
        let records = last.iter().map(|last| Record::A(Ipv4Addr::new(127, 0, 0, *last)));
        self.says(name, Reply::Records(records.collect(), 1));
    }

    /// Questions so far, over UDP and over TCP.
    pub(super) fn asked(&self) -> [usize; 2] {
        [0, 1].map(|i: usize| self.asked[i].load(Ordering::Acquire))
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Release);
        let _ = std::net::TcpStream::connect(self.address);
    }
}

/// Behind the only question of a message.
fn question_end(message: &[u8]) -> usize {
    let mut at = 12;
    while message[at] != 0 {
        at += usize::from(message[at]) + 1;
    }
    at + 5
}

fn answer(query: &[u8], table: &Table) -> Option<Vec<u8>> {
    let end = question_end(query);
    let mut labels = Vec::new();
    let mut at = 12;
    while query[at] != 0 {
        let length = usize::from(query[at]);
        labels.push(String::from_utf8_lossy(&query[at + 1..=at + length]).into_owned());
        at += length + 1;
    }
    let name = labels.join(".").to_ascii_lowercase();
    let of = u16::from_be_bytes([query[end - 4], query[end - 3]]);
    let (code, records, ttl) = match table.names.get(&name) {
        Some(Reply::Records(records, ttl)) => (0, records.clone(), *ttl),
        Some(Reply::Empty) => (0, Vec::new(), 0),
        Some(Reply::NoSuchName) | None => (3, Vec::new(), 0),
        Some(Reply::Failure) => (2, Vec::new(), 0),
        Some(Reply::Silence) => return None,
    };
    let data: Vec<Vec<u8>> = records.iter().filter_map(|record| encode(record, of)).collect();
    let mut out = query[..end].to_vec();
    // An answer, with authority, recursion available.
    out[2] = 0x84 | (query[2] & 1);
    out[3] = 0x80 | code;
    out[6..8].copy_from_slice(&u16::try_from(data.len()).unwrap().to_be_bytes());
    out[8..12].fill(0);
    for data in data {
        out.extend([0xc0, 12]);
        out.extend(of.to_be_bytes());
        out.extend(1_u16.to_be_bytes());
        out.extend(ttl.to_be_bytes());
        out.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        out.extend(data);
    }
    Some(out)
}

/// The data of a record of this type.
fn encode(record: &Record, of: u16) -> Option<Vec<u8>> {
    match record {
        Record::A(ip) => (of == 1).then(|| ip.octets().to_vec()),
        Record::Aaaa(ip) => (of == 28).then(|| ip.octets().to_vec()),
        Record::Srv(priority, weight, port, target) => (of == 33).then(|| {
            let numbers = [priority, weight, port].map(|number| number.to_be_bytes());
            let mut out = numbers.concat();
            for label in target.split('.') {
                out.push(u8::try_from(label.len()).unwrap());
                out.extend(label.as_bytes());
            }
            out.push(0);
            out
        }),
    }
}
