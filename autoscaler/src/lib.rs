//! The autoscaler: sees what the stages have to do and who works on it, decides (in `planning`) how many workers each
//! needs, and has them there. The same decisions can be replayed from recorded observations.

mod policy;
pub mod replay;

pub use policy::PolicyArgs;
