//! How much the content of a picture changed: small when the camera or people move, large when another picture
//! takes its place.
//!
//! Pictures are compared as thumbnails (`THUMBNAIL_WIDTH` by `THUMBNAIL_HEIGHT`, three planes). Each block of
//! the newer one is looked for near its place in the older one, so that a moving camera costs little; what is
//! left is measured against the contrast of the two, so that dark and bright pictures count alike.

use crate::media::frames::{THUMBNAIL_HEIGHT as HEIGHT, THUMBNAIL_WIDTH as WIDTH};

/// Length of a thumbnail in bytes.
pub const THUMBNAIL_BYTES: usize = 3 * WIDTH * HEIGHT;

/// Size of a block, in pixels.
const BLOCK: (usize, usize) = (8, 6);

/// How far a block may have moved, in pixels across and down: an eighth of the picture's width.
const REACH: (isize, isize) = (4, 3);

/// Contrast below which a difference is not blown up further, so that noise in the dark stays small.
const LEAST_CONTRAST: f32 = 20.0;

/// Returns how much of `newer` is not in `older`, 0 (nothing) to 1. Zero when either is no thumbnail.
pub fn change(older: &[u8], newer: &[u8]) -> f32 {
    if older.len() != THUMBNAIL_BYTES || newer.len() != THUMBNAIL_BYTES {
        return 0.0;
    }
    let mut left = 0;
    for top in (0..HEIGHT).step_by(BLOCK.1) {
        for start in (0..WIDTH).step_by(BLOCK.0) {
            left += best_match(older, newer, (start, top));
        }
    }
    against_contrast(left, older, newer)
}

/// Returns how much the picture turned from `first` into `last` as a dissolve or a fade does: `middle` is their
/// mixture. Zero for motion and for a cut, towards 1 for one picture wholly turned into another.
pub fn blend(first: &[u8], middle: &[u8], last: &[u8]) -> f32 {
    if [first, middle, last].iter().any(|thumbnail| thumbnail.len() != THUMBNAIL_BYTES) {
        return 0.0;
    }
    let (mut apart, mut unexplained) = (0, 0);
    for ((&a, &m), &b) in first.iter().zip(middle).zip(last) {
        apart += u32::from(a.abs_diff(b));
        unexplained += (2 * i32::from(m) - i32::from(a) - i32::from(b)).unsigned_abs();
    }
    // `unexplained` is twice the distance to the mixture; a cut leaves exactly `apart` of it.
    against_contrast(apart.saturating_sub(unexplained * 2), first, last)
}

/// Returns the mean brightness, 0 to 1.
pub fn brightness(thumbnail: &[u8]) -> f32 {
    let plane = &thumbnail[..thumbnail.len() / 3];
    plane.iter().map(|value| f32::from(*value)).sum::<f32>() / (255.0 * plane.len().max(1) as f32)
}

/// Returns the smallest sum of differences between the block at `corner` and any block near it in `older`.
fn best_match(older: &[u8], newer: &[u8], corner: (usize, usize)) -> u32 {
    let still = difference(older, newer, corner, corner);
    // Not worth a search: the difference is about one step of brightness a pixel.
    let mut least = still;
    if still <= (3 * BLOCK.0 * BLOCK.1) as u32 {
        return least;
    }
    for down in -REACH.1..=REACH.1 {
        for across in -REACH.0..=REACH.0 {
            let (Some(x), Some(y)) = (corner.0.checked_add_signed(across), corner.1.checked_add_signed(down)) else {
                continue;
            };
            if x + BLOCK.0 <= WIDTH && y + BLOCK.1 <= HEIGHT {
                least = least.min(difference(older, newer, (x, y), corner));
            }
        }
    }
    least
}

fn difference(older: &[u8], newer: &[u8], from: (usize, usize), to: (usize, usize)) -> u32 {
    let mut sum = 0;
    for plane in 0..3 {
        for row in 0..BLOCK.1 {
            let was = plane * WIDTH * HEIGHT + (from.1 + row) * WIDTH + from.0;
            let is = plane * WIDTH * HEIGHT + (to.1 + row) * WIDTH + to.0;
            let pairs = older[was..was + BLOCK.0].iter().zip(&newer[is..is + BLOCK.0]);
            sum += pairs.map(|(a, b)| u32::from(a.abs_diff(*b))).sum::<u32>();
        }
    }
    sum
}

/// Measures a sum of differences over all three planes against the contrast of the two pictures.
fn against_contrast(difference: u32, one: &[u8], other: &[u8]) -> f32 {
    let pixels = (WIDTH * HEIGHT) as f32;
    let contrast = (contrast(one) + contrast(other)) / 2.0 + LEAST_CONTRAST;
    (difference as f32 / pixels / contrast).min(1.0)
}

/// Returns the mean distance of a pixel from its plane's mean, summed over the planes.
fn contrast(thumbnail: &[u8]) -> f32 {
    let mut sum = 0;
    for plane in thumbnail.chunks_exact(WIDTH * HEIGHT) {
        let mean = (plane.iter().map(|value| u32::from(*value)).sum::<u32>() / plane.len() as u32) as u8;
        sum += plane.iter().map(|value| u32::from(value.abs_diff(mean))).sum::<u32>();
    }
    sum as f32 / (WIDTH * HEIGHT) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture of soft hills, moved by (`x`, `y`), with `seed` choosing the landscape.
    fn picture(seed: f32, x: f32, y: f32) -> Vec<u8> {
        let mut bytes = Vec::new();
        for plane in 0..3 {
            for row in 0..HEIGHT {
                for column in 0..WIDTH {
                    let (u, v) = (column as f32 + x, row as f32 + y);
                    let wave = (u * (0.3 + 0.05 * seed) + seed).sin() + (v * 0.5 - seed * 2.0 + plane as f32).cos();
                    bytes.push((128.0 + 50.0 * wave) as u8);
                }
            }
        }
        bytes
    }

    #[test]
    fn another_picture_is_a_change_and_a_moved_one_is_not() {
        let first = picture(1.0, 0.0, 0.0);
        assert_eq!(change(&first, &first), 0.0);
        // Half of the blocks touch an edge at which something new moved in; a cut needs 0.22.
        assert!(change(&first, &picture(1.0, 2.0, 1.0)) < 0.2);
        assert!(change(&first, &picture(4.0, 0.0, 0.0)) > 0.5);
        assert_eq!(change(&first, &[]), 0.0);
    }

    #[test]
    fn a_mixture_is_a_blend_and_a_cut_is_none() {
        let (first, last) = (picture(1.0, 0.0, 0.0), picture(4.0, 0.0, 0.0));
        let mixture: Vec<u8> =
            first.iter().zip(&last).map(|(a, b)| ((u16::from(*a) + u16::from(*b)) / 2) as u8).collect();
        assert!(blend(&first, &mixture, &last) > 0.5);
        assert_eq!(blend(&first, &first, &last), 0.0);
        assert_eq!(blend(&first, &last, &last), 0.0);
    }
}
