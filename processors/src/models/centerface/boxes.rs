//! From the network's maps to boxes: one candidate a cell, the best of each overlapping group kept.

/// Pixels a cell.
pub(super) const STRIDE: usize = 4;

/// Two boxes that share more than this part of their union are one face.
const SAME_FACE: f32 = 0.3;

/// A face in a picture, in its pixels.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Detection {
    /// Left edge.
    pub x: f32,
    /// Top edge.
    pub y: f32,
    /// Width.
    pub width: f32,
    /// Height.
    pub height: f32,
    /// How sure the detector is, 0 to 1.
    pub score: f32,
}

impl Detection {
    /// Returns the part of the union of two boxes that both cover, 0 to 1.
    fn overlap(&self, other: &Self) -> f32 {
        let across = (self.x + self.width).min(other.x + other.width) - self.x.max(other.x);
        let down = (self.y + self.height).min(other.y + other.height) - self.y.max(other.y);
        let shared = across.max(0.0) * down.max(0.0);
        shared / (self.width * self.height + other.width * other.height - shared).max(f32::EPSILON)
    }
}

/// What the network says, a value a cell: `heat` one map, the others two (down, then across).
pub(super) struct Maps<'a> {
    pub columns: usize,
    pub heat: &'a [f32],
    pub scale: &'a [f32],
    pub offset: &'a [f32],
}

/// Returns the faces with a score of at least `threshold`, inside a picture of the given size, from left to right.
pub(super) fn decode(maps: &Maps<'_>, threshold: f32, width: f32, height: f32) -> Vec<Detection> {
    let mut found: Vec<Detection> = Vec::new();
    let cells = maps.heat.len();
    for (cell, &score) in maps.heat.iter().enumerate().filter(|(_, score)| **score >= threshold) {
        let stride = STRIDE as f32;
        let (row, column) = ((cell / maps.columns) as f32, (cell % maps.columns) as f32);
        let (tall, wide) = (maps.scale[cell].exp() * stride, maps.scale[cells + cell].exp() * stride);
        let middle_y = (row + maps.offset[cell] + 0.5) * stride;
        let middle_x = (column + maps.offset[cells + cell] + 0.5) * stride;
        // The box ends at the picture's edge; one that lies in the black beside it is none.
        let (left, right) = ((middle_x - wide / 2.0).clamp(0.0, width), (middle_x + wide / 2.0).clamp(0.0, width));
        let (top, bottom) = ((middle_y - tall / 2.0).clamp(0.0, height), (middle_y + tall / 2.0).clamp(0.0, height));
        if right - left >= 1.0 && bottom - top >= 1.0 {
            found.push(Detection { x: left, y: top, width: right - left, height: bottom - top, score: score.min(1.0) });
        }
    }
    let mut kept = best(found);
    kept.sort_by(|a, b| a.x.total_cmp(&b.x).then(a.y.total_cmp(&b.y)));
    kept
}

/// Keeps the surest of every group that overlaps.
fn best(mut found: Vec<Detection>) -> Vec<Detection> {
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut kept: Vec<Detection> = Vec::new();
    for candidate in found {
        if kept.iter().all(|better| better.overlap(&candidate) <= SAME_FACE) {
            kept.push(candidate);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_surest_of_overlapping_boxes_stays_and_edges_bound_it() {
        // Eight by four cells; two neighbours see one face, a third cell sees one that leaves the picture.
        let mut heat = vec![0.0; 32];
        (heat[10], heat[11], heat[31]) = (0.9, 0.7, 0.6);
        let scale = vec![3f32.ln(); 64];
        let offset = vec![0.0; 64];
        let maps = Maps { columns: 8, heat: &heat, scale: &scale, offset: &offset };
        let found = decode(&maps, 0.5, 32.0, 15.0);
        assert_eq!(found.len(), 2);
        let first = Detection { x: 4.0, y: 0.0, width: 12.0, height: 12.0, score: 0.9 };
        assert!((found[0].x - first.x).abs() < 1e-4 && (found[0].width - first.width).abs() < 1e-4, "{found:?}");
        assert!(found[1].x + found[1].width <= 32.0 && found[1].y + found[1].height <= 15.0, "{found:?}");
    }
}
