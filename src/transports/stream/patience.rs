//! How a caller waits for the rest of a big message that has begun.

use std::time::Duration;

use super::width::Reach;
use crate::io::Spin;
use crate::sys::pause;

#[derive(Debug)]
pub struct Patience {
    spin: Spin,
    reach: Reach,
}

impl Patience {
    #[must_use]
    pub fn new(reach: Reach) -> Patience {
        Patience { spin: Spin::default(), reach }
    }

    /// Looks a few times, if that has paid lately. False when it is not there by then.
    pub fn wait(&self, look: &mut dyn FnMut() -> bool) -> bool {
        self.spin.try_spin(|| {
            if self.reach == Reach::Machine {
                pause(TO_GROW);
            }
            look()
        })
    }
}

/// Inside the machine a message comes in pieces, of which several are read sooner than each alone.
const TO_GROW: Duration = Duration::from_micros(4);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_soon_is_waited_for() {
        let patience = Patience::new(Reach::Machine);
        let mut looks = 0;
        let is_there = patience.wait(&mut || {
            looks += 1;
            looks == 2
        });
        assert_eq!(is_there, Spin::can_pay() && looks == 2);
    }
}
