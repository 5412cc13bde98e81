//! What was written of each view at the last tick, for all who watch it: whoever comes first writes it, and the others wait
//! for that.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

use crate::part::Part;

/// What nobody has asked for so long is not kept, in milliseconds.
const KEPT_MS: i64 = 60_000;

/// What is written of a view, once it is.
type Cell = Arc<OnceCell<Arc<[Part]>>>;

/// What was written of each view, with its tick.
#[derive(Default)]
pub struct Written(Mutex<HashMap<String, (i64, Cell)>>);

impl Written {
    /// Returns what is written of `view` at `tick`; `write` does it if nobody has yet.
    ///
    /// # Errors
    /// Those of `write`; whoever comes next tries again.
    pub async fn at<E>(
        &self,
        view: &str,
        tick: i64,
        write: impl Future<Output = Result<Vec<Part>, E>>,
    ) -> Result<Arc<[Part]>, E> {
        let cell = self.cell(view, tick);
        cell.get_or_try_init(async || write.await.map(Arc::from)).await.cloned()
    }

    fn cell(&self, view: &str, tick: i64) -> Cell {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, cell)) = all.get(view)
            && *at == tick
        {
            return cell.clone();
        }
        let cell = Cell::default();
        all.retain(|_, (at, _)| tick - *at < KEPT_MS);
        all.insert(view.to_owned(), (tick, cell.clone()));
        cell
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::future::join_all;

    use super::*;

    #[tokio::test]
    async fn a_view_is_written_once_a_tick_however_many_watch() {
        let (written, times) = (Written::default(), AtomicUsize::new(0));
        let write = async || {
            // The others come meanwhile.
            tokio::task::yield_now().await;
            let (id, html, mark) = ("now", String::new(), times.fetch_add(1, Ordering::Relaxed) as u64);
            Ok::<_, Infallible>(vec![Part { id, html, mark }])
        };
        let number = |parts: Result<Arc<[Part]>, Infallible>| parts.map(|parts| parts[0].mark);
        let all = join_all((0..200).map(|_| written.at("video/a", 1, write()))).await;
        assert!(all.into_iter().all(|one| number(one) == Ok(0)));
        assert_eq!(number(written.at("video/b", 1, write()).await), Ok(1));
        assert_eq!(number(written.at("video/a", 2, write()).await), Ok(2));
        assert!(written.at("video/b", 3, async { Err("away") }).await.is_err());
        assert_eq!(number(written.at("video/b", 3, write()).await), Ok(3));
    }
}
