//! Layer 3, targets: reads the files of a root, of a store or of an image into a [`Tree`], as far as
//! they are [`Wanted`]. What is judged is that value, whatever it was read from.
//!
//! * [`Target`]: what the user names.
//! * [`folder`]: a root or a store as a folder.
//! * [`image`]: an image, from wherever it is: [`layout`] and [`docker_archive`] read files,
//!   [`remote`] a registry, [`local`] the containers-storage of this machine. [`layers`] makes the
//!   tree of it.
//! * [`storage`]: a containers-storage as plain files: which images it has, and what resolves in it.
//!
//! Nothing is extracted: of most files only the digest is kept, so memory does not grow with the target.
//!
//! [`Tree`]: crate::model::Tree

mod archive;
mod choice;
pub mod docker_archive;
mod error;
pub mod folder;
pub mod image;
mod keeper;
pub mod layers;
pub mod layout;
pub mod local;
mod name;
pub mod remote;
pub mod storage;
mod stream;
mod wanted;

pub use error::Error;
use error::io_error;
pub use keeper::Keeper;
pub use name::{LayoutName, Target};
pub use wanted::{Keep, Wanted};
