//! Tests of `spoken_time_gate`.

use super::*;

const MS: i64 = 1_000_000;
/// The server's clock is far from ours.
const RTP: u64 = (1 << 32) - 48_000;

/// The packet that is spoken `number` times 20 ms after the first one.
fn packet(stream: u32, number: i64) -> Packet {
    let rtp = RTP.saturating_add_signed(number * 960);
    Packet { stream, sequence: 65_500 + number as u64, rtp, payload: vec![0x78, 1, 2].into() }
}

/// When it arrives if nothing delays it.
fn on_time(number: i64) -> i64 {
    1_000_000 * MS + number * 20 * MS
}

/// Takes packets that nothing delayed.
fn hear(gate: &mut SpokenTimeGate, numbers: std::ops::Range<i64>, is_open: bool) {
    for number in numbers {
        assert_eq!(gate.admits(on_time(number), "PA_1", &packet(0, number), is_open), is_open, "packet {number}");
    }
}

#[test]
fn what_was_lost_in_a_pause_is_not_kept_when_it_comes_again() {
    let mut gate = SpokenTimeGate::default();
    hear(&mut gate, 0..50, true);
    hear(&mut gate, 50..70, false);
    // 70 and 71 are lost, and nothing after them arrives before the end of the pause.
    gate.resumed(on_time(71) + MS);
    assert!(!gate.admits(on_time(72), "PA_1", &packet(0, 69), true), "below the highest of the pause");
    assert!(gate.admits(on_time(72), "PA_1", &packet(0, 72), true));
    for late in [70, 71] {
        assert!(!gate.admits(on_time(80), "PA_1", &packet(0, late), true), "packet {late}, spoken in the pause");
    }
    assert!(gate.admits(on_time(81), "PA_1", &packet(0, 74), true), "lost after the pause, and come again");
    hear(&mut gate, 82..2_000, true);
}

#[test]
fn what_a_slow_way_held_up_over_the_end_of_a_pause_is_not_kept() {
    let mut gate = SpokenTimeGate::default();
    hear(&mut gate, 0..300, true);
    // Nothing arrives during the pause; all of it arrives afterwards, in order.
    gate.resumed(on_time(500));
    let kept: Vec<i64> =
        (300..520).filter(|number| gate.admits(on_time(520), "PA_1", &packet(0, *number), true)).collect();
    assert_eq!(kept, (500..520).collect::<Vec<_>>());
}

#[test]
fn what_came_after_it_in_a_pause_tells_of_a_packet_when_nothing_else_does() {
    let mut gate = SpokenTimeGate::default();
    hear(&mut gate, 0..50, false);
    gate.resumed(on_time(2_000));
    assert!(!gate.admits(on_time(2_000), "PA_1", &packet(0, 48), true));
    assert!(gate.admits(on_time(2_001), "PA_1", &packet(0, 2_001), true));
}

#[test]
fn a_stream_that_is_new_after_a_pause_is_kept_from_its_first_packet_on() {
    let mut gate = SpokenTimeGate::default();
    hear(&mut gate, 0..50, false);
    gate.resumed(on_time(60));
    assert!(gate.admits(on_time(60), "PA_1", &packet(1, 60), true));
    assert!(!gate.admits(on_time(61), "PA_1", &packet(1, 59), true), "it was overtaken");
    assert!(gate.admits(on_time(61), "PA_1", &packet(1, 61), true));
}

#[test]
fn whoever_is_let_in_again_is_kept_from_there_on_and_others_all_the_time() {
    let mut gate = SpokenTimeGate::default();
    hear(&mut gate, 0..50, true);
    hear(&mut gate, 50..60, false);
    gate.let_in("PA_1", on_time(65));
    for number in 60..70 {
        let late = on_time(number) + 200 * MS;
        assert!(gate.admits(on_time(number), "PA_2", &packet(1, number), true));
        assert_eq!(gate.admits(late, "PA_1", &packet(0, number), true), number >= 65, "packet {number}");
    }
}

#[test]
fn a_clock_that_drifts_stands_still_or_is_ahead_costs_nothing_or_little() {
    let mut gate = SpokenTimeGate::default();
    // An hour of a clock that is slow by 300 ppm.
    for number in 0..180_000 {
        gate.admits(on_time(number) + number * 6_000, "PA_1", &packet(0, number), true);
    }
    let end = on_time(180_000) + 180_000 * 6_000;
    gate.resumed(end);
    assert!(gate.admits(end + 20 * MS, "PA_1", &packet(0, 180_001), true));
    // The server's own silence is a second ahead of it.
    let silence = Packet { payload: SERVER_SILENCE.to_vec().into(), ..packet(0, 180_055) };
    assert!(gate.admits(end + 100 * MS, "PA_1", &silence, true));
    gate.resumed(end + 500 * MS);
    assert!(gate.admits(end + 520 * MS, "PA_1", &packet(0, 180_026), true));
    // Muted for 20 s, during which it stalled.
    gate.resumed(end + 20_000 * MS);
    assert!(gate.admits(end + 20_010 * MS, "PA_1", &packet(0, 180_030), true));
}
