//! What surrounds every page: its title, the way to the others, the bar, and who looks.

use serde::Serialize;

use crate::access::{Role, Viewer};
use crate::app::App;
use crate::asset;
use crate::bar::Bar;
use crate::reach::Flags;

/// A page's place among the others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Link {
    /// Its path.
    pub path: &'static str,
    /// What it is called.
    pub name: &'static str,
}

/// The pages, in the order in which they are offered.
pub const PAGES: [Link; 10] = [
    Link { path: "/", name: "Overview" },
    Link { path: "/new", name: "New" },
    Link { path: "/videos", name: "Videos" },
    Link { path: "/queues", name: "Queues" },
    Link { path: "/letters", name: "Dead letters" },
    Link { path: "/workers", name: "Workers" },
    Link { path: "/autoscaler", name: "Autoscaler" },
    Link { path: "/capacity", name: "Capacity" },
    Link { path: "/loadtests", name: "Load tests" },
    Link { path: "/cost", name: "Cost" },
];

/// What surrounds a page. Programs get the bar of it.
#[derive(Serialize)]
pub struct Frame {
    /// The path of the page, or of the one that it belongs to.
    #[serde(skip)]
    pub here: &'static str,
    /// What it is called.
    #[serde(skip)]
    pub title: String,
    /// How it goes.
    pub bar: Bar,
    /// The view whose changes are sent while it is shown, see [`crate::live`].
    #[serde(skip)]
    pub view: String,
    /// Who looks.
    #[serde(skip)]
    pub viewer: Viewer,
    /// How command lines reach what is shown.
    #[serde(skip)]
    pub flags: Flags,
}

impl Frame {
    /// Surrounds the page `here` that is called `title`, and follows `view`.
    pub fn new(
        app: &App,
        viewer: Viewer,
        here: &'static str,
        title: impl Into<String>,
        view: impl Into<String>,
    ) -> Self {
        let flags = Flags::of(&app.reach, &viewer.site);
        Self { here, title: title.into(), bar: Bar::of(&app.seen), view: view.into(), viewer, flags }
    }

    /// Returns the pages.
    pub fn pages(&self) -> &'static [Link] {
        &PAGES
    }

    /// Says whether `link` leads to where the viewer is.
    pub fn is_here(&self, link: &Link) -> bool {
        link.path == self.here
    }

    /// Returns the path of a file of style or script.
    pub fn asset(&self, name: &str) -> String {
        asset::path(name)
    }

    /// Says whether the viewer may change things.
    pub fn may_change(&self) -> bool {
        self.viewer.role == Role::Operator
    }
}
