//! How tenants share: a tenant's first unfinished videos keep the lane of their length, the others go lower, so that
//! whoever has few is not behind whoever has many (`docs/adr/0011-many-videos-of-one-tenant-go-lower.md`).

/// Beyond so many times its share a tenant's videos go two lanes lower.
const MANY: usize = 10;

/// Returns how many lanes lower a tenant's next video goes, given how many it has unfinished. A share of 0 is no rule.
pub fn lanes_lower(unfinished: usize, share: usize) -> u32 {
    if share == 0 || unfinished < share {
        0
    } else if unfinished < share.saturating_mul(MANY) {
        1
    } else {
        2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_a_tenant_has_the_lower_the_next_one_goes() {
        let lanes = |share| [0, 1, 2, 9, 10, 19, 20, 498].map(|unfinished| lanes_lower(unfinished, share));
        assert_eq!(lanes(1), [0, 1, 1, 1, 2, 2, 2, 2]);
        assert_eq!(lanes(2), [0, 0, 1, 1, 1, 1, 2, 2]);
        assert_eq!(lanes(0), [0; 8]);
    }
}
