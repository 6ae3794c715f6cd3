//! From registers to a number: the improved raw estimator of O. Ertl, "New cardinality
//! estimation algorithms for HyperLogLog sketches" (2017), algorithm 6. One formula without
//! empirical corrections, right from none to billions.

use super::{RANK_MAX, REGISTERS};

/// The number of different hashes, from how many registers hold each rank.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an estimate below 2^53; an infinite one saturates"
)]
pub(super) fn estimate(histogram: &[u32; RANK_MAX as usize + 1]) -> u64 {
    let registers = REGISTERS as f64;
    let highest = usize::from(RANK_MAX);
    let mut z = registers * tau(1.0 - f64::from(histogram[highest]) / registers);
    for count in histogram[1..highest].iter().rev() {
        z = 0.5 * (z + f64::from(*count));
    }
    z += registers * sigma(f64::from(histogram[0]) / registers);
    let alpha = 1.0 / (2.0 * std::f64::consts::LN_2);
    (alpha * registers * registers / z).round() as u64
}

/// What the registers that are not set contribute.
fn sigma(mut x: f64) -> f64 {
    if x >= 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z <= before {
            return z;
        }
    }
}

/// What the registers at their highest rank contribute.
fn tau(mut x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x).powi(2) * y;
        if z >= before {
            return z / 3.0;
        }
    }
}
