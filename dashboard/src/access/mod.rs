//! Who may see and change what. Without keys everybody is an operator, which is for one's own machine; with keys
//! a browser shows one once and gets a session cookie, and a program sends it with each request.

mod cookie;
mod guard;
mod login;
mod session;

pub use guard::{Viewer, guard};
pub use login::{login, logout, show};
pub use session::{Access, Role, is_same};
