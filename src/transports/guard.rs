//! Whom a listener lets in, by what the kernel knows of him: the user, or the address. Pure.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use super::Fault;
use crate::error::{Error, Part};

/// Who may come, as somebody has said. Everybody, unless somebody has.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    /// The only user whose processes may, on ipc.
    pub user: Option<u32>,
    /// Where they may be, on tcp and ws.
    pub networks: Option<Arc<Networks>>,
}

/// What the kernel knows of somebody who has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visitor {
    FromNetwork(Option<SocketAddr>),
    FromMachine { user: Option<u32> },
}

/// A list of networks.
#[derive(Debug, PartialEq, Eq)]
pub struct Networks(Vec<Network>);

/// The addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    bits: u32,
}

impl Guard {
    /// # Errors
    /// What is wrong with him, when he is not to be let in. Who is not known is not.
    pub fn judge(&self, visitor: Visitor) -> Result<(), Fault> {
        match (visitor, self) {
            (Visitor::FromNetwork(found), Guard { networks: Some(networks), .. }) => {
                let is_in = found.is_some_and(|found| networks.contain(found.ip()));
                if is_in { Ok(()) } else { Err(Fault::Stranger { users: None }) }
            }
            (Visitor::FromMachine { user }, Guard { user: Some(wanted), .. }) => {
                let found = user.unwrap_or(NOBODY);
                let is_he = user == Some(*wanted);
                if is_he { Ok(()) } else { Err(Fault::Stranger { users: Some((found, *wanted)) }) }
            }
            (Visitor::FromNetwork(_) | Visitor::FromMachine { .. }, _) => Ok(()),
        }
    }
}

impl Networks {
    /// Networks with commas between them, such as `10.0.0.0/8, ::1`. None are all.
    ///
    /// # Errors
    /// `Malformed`, with the place of the first one that is wrong.
    pub fn parse(text: &[u8]) -> Result<Option<Networks>, Error> {
        if text.trim_ascii().is_empty() {
            return Ok(None);
        }
        let parts = text.split(|byte| *byte == b',');
        let networks = parts.enumerate().map(|(at, part)| {
            let place = u8::try_from(at + 1).ok().filter(|place| *place <= NETWORKS_MAX);
            let place = place.ok_or(Error::Malformed(Part::NetworkCount))?;
            Network::parse(part.trim_ascii()).map_err(|wrong| Error::Malformed(wrong(place)))
        });
        networks.collect::<Result<_, _>>().map(|networks| Some(Networks(networks)))
    }

    /// Those in which nobody is.
    #[must_use]
    pub fn none() -> Networks {
        Networks(Vec::new())
    }

    fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(address))
    }
}

impl Network {
    fn parse(text: &[u8]) -> Result<Network, fn(u8) -> Part> {
        let text = std::str::from_utf8(text).map_err(|_| Part::Network as fn(u8) -> Part)?;
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr =
            address.trim().parse().map_err(|_| Part::Network as fn(u8) -> Part)?;
        let most = width(address);
        let bits = match bits.map(str::trim) {
            None => most,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits
                .parse()
                .ok()
                .filter(|bits| *bits <= most)
                .ok_or(Part::NetworkBits as fn(u8) -> Part)?,
            Some(_) => return Err(Part::NetworkBits),
        };
        let network = Network { address, bits };
        // Else somebody has meant one, or all; neither is to be guessed.
        if leading(address, bits) != all(address) {
            return Err(Part::NetworkHost);
        }
        Ok(network.canonical())
    }

    /// IPv4 in the clothes of IPv6 is IPv4.
    fn canonical(self) -> Network {
        match self {
            Network { address: IpAddr::V6(address), bits } if bits >= MAPPED_BITS => {
                match address.to_ipv4_mapped() {
                    Some(inner) => Network { address: inner.into(), bits: bits - MAPPED_BITS },
                    None => self,
                }
            }
            Network { .. } => self,
        }
    }

    fn contains(&self, address: IpAddr) -> bool {
        self.address.is_ipv4() == address.is_ipv4()
            && leading(address, self.bits) == all(self.address)
    }
}

fn width(address: IpAddr) -> u32 {
    if address.is_ipv4() { u32::BITS } else { u128::BITS }
}

/// The bits of an address, from the highest on.
fn all(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << (u128::BITS - u32::BITS),
        IpAddr::V6(address) => Ipv6Addr::to_bits(address),
    }
}

/// The same, of which only the first ones count.
fn leading(address: IpAddr, bits: u32) -> u128 {
    let rest = u128::MAX.checked_shr(bits).unwrap_or_default();
    all(address) & !rest
}

/// The user of a peer whom the kernel does not know.
const NOBODY: u32 = u32::MAX;
/// Where IPv4 begins in an address of IPv6 that stands for one.
const MAPPED_BITS: u32 = 96;
/// A list is searched for everybody who comes.
const NETWORKS_MAX: u8 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Networks {
        Networks::parse(text.as_bytes()).unwrap().unwrap()
    }

    fn wrong(text: &str) -> Part {
        match Networks::parse(text.as_bytes()) {
            Err(Error::Malformed(part)) => part,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn a_network_has_the_addresses_that_begin_like_it() {
        for (networks, inside, outside) in [
            ("127.0.0.0/8", "127.255.0.1", "128.0.0.1"),
            ("10.1.2.3", "10.1.2.3", "10.1.2.2"),
            ("10.1.2.2/31", "10.1.2.3", "10.1.2.4"),
            ("0.0.0.0/0", "255.1.2.3", "::1"),
            ("::/0", "fe80::1", "1.2.3.4"),
            ("::1", "::1", "::2"),
            ("fe80::/10", "febf::1", "fec0::1"),
            ("2001:db8::/127", "2001:db8::1", "2001:db8::2"),
            ("10.0.0.0/8, ::1 ,192.168.0.0 / 16", "192.168.3.4", "192.169.3.4"),
            ("10.0.0.0/8,::1", "::1", "::"),
        ] {
            let list = parsed(networks);
            assert!(list.contain(inside.parse().unwrap()), "{networks} {inside}");
            assert!(!list.contain(outside.parse().unwrap()), "{networks} {outside}");
        }
    }

    #[test]
    fn an_address_of_ipv4_is_the_same_in_the_clothes_of_ipv6() {
        let mapped: IpAddr = "::ffff:10.1.2.3".parse().unwrap();
        for list in ["10.0.0.0/8", "::ffff:10.0.0.0/104", "::ffff:10.1.2.3", "0.0.0.0/0"] {
            assert!(parsed(list).contain(mapped), "{list}");
            assert!(parsed(list).contain("10.1.2.3".parse().unwrap()), "{list}");
        }
        for list in ["11.0.0.0/8", "::ffff:11.0.0.0/104", "::/0", "::/64"] {
            assert!(!parsed(list).contain(mapped), "{list}");
        }
        // So few bits are of addresses of IPv6 besides.
        assert_eq!(
            parsed("::/80"),
            Networks(vec![Network { address: "::".parse().unwrap(), bits: 80 }])
        );
    }

    #[test]
    fn what_is_no_list_is_told_with_its_place() {
        assert_eq!(Networks::parse(b" "), Ok(None));
        for text in ["x", "127.1", "10.0.0.0.0", "[::1]", "fe80::1%eth0", "10.0.0.0:80", "\u{e4}"] {
            assert_eq!(wrong(text), Part::Network(1), "{text}");
        }
        assert_eq!(wrong("::1,"), Part::Network(2));
        assert_eq!(wrong("::1,,::2"), Part::Network(2));
        for text in ["/8", "::1/x/"] {
            assert!(matches!(wrong(text), Part::Network(1) | Part::NetworkBits(1)), "{text}");
        }
        for bits in ["", "33", "-1", "+8", "8x", "99999999999", "8/8"] {
            assert_eq!(wrong(&format!("::1, 10.0.0.0/{bits}")), Part::NetworkBits(2), "{bits}");
        }
        assert_eq!(wrong("::/129"), Part::NetworkBits(1));
        assert_eq!(wrong("10.0.0.1/8"), Part::NetworkHost(1));
        assert_eq!(wrong("1.1.1.1,fe80::1/64"), Part::NetworkHost(2));
        let many = vec!["::1"; 64].join(",");
        assert_eq!(parsed(&many).0.len(), 64);
        assert_eq!(wrong(&format!("{many},::2")), Part::NetworkCount);
        assert_eq!(wrong(&vec!["::1"; 300].join(",")), Part::NetworkCount);
        assert_eq!(Networks::parse(b"\xff\xfe"), Err(Error::Malformed(Part::Network(1))));
    }

    #[test]
    fn each_is_judged_by_what_is_known_of_him() {
        let address = |text: &str| Visitor::FromNetwork(Some(text.parse().unwrap()));
        let user = |user| Visitor::FromMachine { user };
        let open = Guard::default();
        for visitor in [address("1.2.3.4:5"), Visitor::FromNetwork(None), user(Some(7)), user(None)]
        {
            assert_eq!(open.judge(visitor), Ok(()));
        }
        let guard = Guard { user: Some(7), networks: Some(Arc::new(parsed("10.0.0.0/8"))) };
        assert_eq!(guard.judge(address("10.2.3.4:5")), Ok(()));
        assert_eq!(guard.judge(address("[::ffff:10.2.3.4]:5")), Ok(()));
        let stranger = Err(Fault::Stranger { users: None });
        assert_eq!(guard.judge(address("11.2.3.4:5")), stranger);
        assert_eq!(guard.judge(Visitor::FromNetwork(None)), stranger);
        assert_eq!(guard.judge(user(Some(7))), Ok(()));
        let other = |found| Err(Fault::Stranger { users: Some((found, 7)) });
        assert_eq!(guard.judge(user(Some(0))), other(0));
        assert_eq!(guard.judge(user(None)), other(u32::MAX));
        // What is asked of the one is not asked of the other.
        let networks_only = Guard { user: None, ..guard.clone() };
        assert_eq!(networks_only.judge(user(None)), Ok(()));
        let user_only = Guard { networks: None, ..guard };
        assert_eq!(user_only.judge(address("11.2.3.4:5")), Ok(()));
    }
}
