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
}
