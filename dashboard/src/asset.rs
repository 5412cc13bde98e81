//! Style, scripts and the icon of the pages, within the binary. Their paths change with what they hold, so browsers keep them for
//! good.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use crate::fault::Fault;

struct Asset {
    name: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
}

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

static ASSETS: [Asset; 7] = [
    Asset { name: "dashboard.css", kind: STYLE, bytes: include_bytes!("../static/dashboard.css") },
    Asset { name: "uplot.css", kind: STYLE, bytes: include_bytes!("../static/vendor/uPlot.min.css") },
    Asset { name: "htmx.js", kind: SCRIPT, bytes: include_bytes!("../static/vendor/htmx.min.js") },
    Asset { name: "sse.js", kind: SCRIPT, bytes: include_bytes!("../static/vendor/hx-sse.min.js") },
    Asset { name: "uplot.js", kind: SCRIPT, bytes: include_bytes!("../static/vendor/uPlot.iife.min.js") },
    Asset { name: "dashboard.js", kind: SCRIPT, bytes: include_bytes!("../static/dashboard.js") },
    Asset { name: "icon.svg", kind: "image/svg+xml", bytes: include_bytes!("../static/icon.svg") },
];

/// The start of every path: it holds a hash of all there is.
static BASE: LazyLock<String> = LazyLock::new(|| {
    let hash = ASSETS.iter().fold(Sha256::new(), |hash, asset| hash.chain_update(asset.bytes)).finalize();
    let short: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("/static/{short}")
});

/// Returns the path of the asset called `name`.
pub fn path(name: &str) -> String {
    format!("{}/{name}", *BASE)
}

/// Serves an asset; under another hash too, for pages that an older process made.
pub async fn serve(Path((_, name)): Path<(String, String)>) -> Result<Response, Fault> {
    let asset = ASSETS.iter().find(|asset| asset.name == name);
    let asset = asset.ok_or_else(|| Fault::Nowhere("There is no such style or script.".to_owned()))?;
    let headers = [(header::CONTENT_TYPE, asset.kind), (header::CACHE_CONTROL, "public, max-age=31536000, immutable")];
    Ok((headers, asset.bytes).into_response())
}
