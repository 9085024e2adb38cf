//! What is written is read again.

#[test]
fn every_number() {
    for number in 1..4000 {
        let text = roman::write(number).unwrap();
        assert_eq!(roman::read(&text), Some(number), "{text}");
    }
}
