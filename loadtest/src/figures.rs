//! What is made of many samples.

/// The middle one, or the mean of the two in the middle; figures that are none do not count.
pub(crate) fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.into_iter().filter(|figure| figure.is_finite()).collect();
    figures.sort_by(f64::total_cmp);
    match figures.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => figures[odd / 2],
        even => f64::midpoint(figures[even / 2 - 1], figures[even / 2]),
    }
}

/// A figure for a table, or a dash.
pub(crate) fn shown(figure: Option<f64>, digits: usize) -> String {
    figure.map_or("-".into(), |figure| format!("{figure:.digits$}"))
}

/// A figure, if it is one.
pub(crate) fn known(figure: f64) -> Option<f64> {
    Some(figure).filter(|figure| figure.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_in_the_middle_of_what_is_known() {
        assert!((median([3.0, f64::NAN, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median([1.0, 2.0]) - 1.5).abs() < 1e-9);
        assert_eq!(shown(known(median([])), 1), "-");
    }
}
