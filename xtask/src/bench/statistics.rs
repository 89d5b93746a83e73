//! What is told of many measurements.

/// Measurements of one thing, in one unit (milliseconds where it is time).
pub type Sample = Vec<f64>;

/// The middle one.
pub fn median(sample: &[f64]) -> f64 {
    quantile(sample, 0.5)
}

/// The value that 95 of 100 do not exceed.
pub fn p95(sample: &[f64]) -> f64 {
    quantile(sample, 0.95)
}

/// Between these lies half of them.
pub fn quartiles(sample: &[f64]) -> (f64, f64) {
    (quantile(sample, 0.25), quantile(sample, 0.75))
}

/// By which factor the ratio of two medians may be off, but for a chance of 1 in 20; `None`: there are too few measurements
/// to tell. They must be independent: of a batch one after the other, only one is.
///
/// A median's own bounds are two of its measurements, those whose ranks are n/2 ± 0.98 √n (binomial distribution, whatever
/// that of the measurements). The logarithms of both errors add up as squares.
pub fn error_of_ratio(ours: &[f64], theirs: &[f64]) -> Option<f64> {
    const ENOUGH: usize = 6;
    if ours.len().min(theirs.len()) < ENOUGH {
        return None;
    }
    let [ours, theirs] = [ours, theirs].map(|sample| {
        let off = 0.98 / (sample.len() as f64).sqrt();
        (quantile(sample, 0.5 + off) / quantile(sample, 0.5 - off)).ln() / 2.0
    });
    Some(ours.hypot(theirs).exp())
}

/// Interpolated between the two nearest measurements; NaN of none.
fn quantile(sample: &[f64], part: f64) -> f64 {
    let mut sorted = sample.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    let place = part * last as f64;
    let (below, above) = (
        sorted[place.floor() as usize],
        sorted[place.ceil() as usize],
    );
    below + (above - below) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_measurements() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0]), 2.5);
        assert_eq!(p95(&(0..=100).map(f64::from).collect::<Vec<_>>()), 95.0);
        assert_eq!(quartiles(&[5.0, 1.0, 2.0, 4.0, 3.0]), (2.0, 4.0));
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn what_a_ratio_is_worth() {
        assert_eq!(error_of_ratio(&[4.0; 5], &[2.0; 9]), None);
        // 100 measurements, evenly from 100 to 199: of the median the error is 10 ranks.
        let even: Vec<f64> = (100..200).map(f64::from).collect();
        let off = error_of_ratio(&even, &[100.0; 9]).unwrap();
        assert!((off - (159.2_f64 / 139.8).sqrt()).abs() < 1e-3, "{off}");
        let both = error_of_ratio(&even, &even).unwrap();
        assert!((both.ln() - off.ln() * 2_f64.sqrt()).abs() < 1e-9, "{both}");
    }
}
