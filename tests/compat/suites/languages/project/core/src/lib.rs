//! Adds.
//!
//! ```
//! assert_eq!(core_of_three::add(1, 2), 3);
//! ```

/// The sum of both.
pub fn add(a: u32, b: u32) -> u32 {
    a + b
}

#[cfg(test)]
mod tests {
    #[test]
    fn adds() {
        assert_eq!(super::add(2, 2), 4);
    }

    #[test]
    #[ignore = "not today"]
    fn is_ignored() {}
}
