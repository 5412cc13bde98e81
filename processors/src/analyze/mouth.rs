//! Whether a mouth moves: the lower third of a face against the same face one look before.

use crate::media::frames::Rgb;
use crate::models::centerface::Detection;

/// Columns and rows of the grid laid over a face.
const GRID: (usize, usize) = (16, 24);

/// A face seen as brightness on a grid.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    face: Detection,
    grid: Vec<f32>,
}

impl Seen {
    /// Samples `face` out of `picture`.
    pub(super) fn new(picture: &Rgb, face: Detection) -> Self {
        let mut grid = Vec::with_capacity(GRID.0 * GRID.1);
        for row in 0..GRID.1 {
            for column in 0..GRID.0 {
                let x = face.x + face.width * (column as f32 + 0.5) / GRID.0 as f32 - 0.5;
                let y = face.y + face.height * (row as f32 + 0.5) / GRID.1 as f32 - 0.5;
                grid.push(brightness(picture, x, y));
            }
        }
        Self { face, grid }
    }

    /// Returns how much the mouth changed since `before`, 0 to 1: what changed in the lower third beyond what
    /// changed in the rest, so that a head that turns counts little. Zero when nobody was there before.
    pub(super) fn motion(&self, before: &[Self]) -> f32 {
        let distance = |other: &Self| {
            let (dx, dy) = (centre(&self.face).0 - centre(&other.face).0, centre(&self.face).1 - centre(&other.face).1);
            dx.hypot(dy)
        };
        let nearest = before.iter().min_by(|a, b| distance(a).total_cmp(&distance(b)));
        let Some(nearest) = nearest.filter(|other| distance(other) < self.face.width.max(other.face.width)) else {
            return 0.0;
        };
        let mouth_from = GRID.1 * 2 / 3;
        let mouth = self.difference(nearest, mouth_from, GRID.1);
        let rest = self.difference(nearest, GRID.1 / 6, mouth_from);
        (mouth - rest / 2.0).clamp(0.0, 1.0)
    }

    /// Returns the least mean difference of the rows `from..to` when they may have moved by one step of the grid.
    fn difference(&self, other: &Self, from: usize, to: usize) -> f32 {
        let contrast = self.contrast().max(other.contrast()).max(4.0);
        let mut least = f32::INFINITY;
        for down in -1isize..=1 {
            for across in -1isize..=1 {
                let (mut sum, mut count) = (0.0, 0.0);
                for row in from..to {
                    for column in 1..GRID.0 - 1 {
                        let moved_row = row.saturating_add_signed(down).min(GRID.1 - 1);
                        let moved = moved_row * GRID.0 + column.saturating_add_signed(across);
                        sum += (self.grid[row * GRID.0 + column] - other.grid[moved]).abs();
                        count += 1.0;
                    }
                }
                least = least.min(sum / count);
            }
        }
        least / (2.0 * contrast)
    }

    /// Returns the mean distance of a sample from the face's mean brightness.
    fn contrast(&self) -> f32 {
        let count = self.grid.len() as f32;
        let mean = self.grid.iter().sum::<f32>() / count;
        self.grid.iter().map(|value| (value - mean).abs()).sum::<f32>() / count
    }
}

fn centre(face: &Detection) -> (f32, f32) {
    (face.x + face.width / 2.0, face.y + face.height / 2.0)
}

/// Returns the brightness at a point between pixels, 0 to 255.
fn brightness(picture: &Rgb, x: f32, y: f32) -> f32 {
    let (x, y) = (x.clamp(0.0, picture.width as f32 - 1.0), y.clamp(0.0, picture.height as f32 - 1.0));
    let (left, top) = (x as usize, y as usize);
    let (right, bottom) = ((left + 1).min(picture.width - 1), (top + 1).min(picture.height - 1));
    let (across, down) = (x - left as f32, y - top as f32);
    let at = |column: usize, row: usize| {
        let pixel = &picture.pixels[(row * picture.width + column) * 3..][..3];
        0.299 * f32::from(pixel[0]) + 0.587 * f32::from(pixel[1]) + 0.114 * f32::from(pixel[2])
    };
    let upper = at(left, top) * (1.0 - across) + at(right, top) * across;
    let lower = at(left, bottom) * (1.0 - across) + at(right, bottom) * across;
    upper * (1.0 - down) + lower * down
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A grey face of 32 by 48 at (`x`, 10) with eyes, and a mouth that is `open` pixels high.
    fn face(x: usize, open: usize) -> Seen {
        let mut picture = Rgb { width: 120, height: 80, pixels: vec![40; 120 * 80 * 3] };
        let mut fill = |left: usize, top: usize, width: usize, height: usize, value: u8| {
            for row in top..top + height {
                for column in left..left + width {
                    picture.pixels[(row * 120 + column) * 3..][..3].fill(value);
                }
            }
        };
        fill(x, 10, 32, 48, 180);
        fill(x + 6, 24, 6, 4, 20);
        fill(x + 20, 24, 6, 4, 20);
        fill(x + 8, 46, 16, open, 20);
        Seen::new(&picture, Detection { x: x as f32, y: 10.0, width: 32.0, height: 48.0, score: 1.0 })
    }

    #[test]
    fn an_opening_mouth_moves_and_a_moving_head_does_not() {
        let closed = [face(30, 1)];
        assert!(face(30, 8).motion(&closed) > 0.1);
        assert!(face(33, 1).motion(&closed) < 0.02);
        assert_eq!(face(30, 1).motion(&[]), 0.0);
        assert_eq!(face(88, 8).motion(&closed), 0.0, "another person");
    }
}
