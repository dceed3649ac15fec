//! The limit of open files: raises it as far as the system allows, and says how many connections it leaves room for.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises this process's limit of open files to the most that it may have. Returns the new limit; `None`: there is none.
pub fn raise() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
    {
        tracing::warn!(%error, "the limit of open files cannot be raised");
    }
    getrlimit(Resource::Nofile).current
}

/// How many connections there may be: as many as wanted, but a quarter of the open files is left to all else.
pub(super) fn most_connections(wanted: usize) -> usize {
    within(wanted, getrlimit(Resource::Nofile).current)
}

fn within(wanted: usize, files: Option<u64>) -> usize {
    let most = files.map_or(usize::MAX, |files| usize::try_from(files / 4 * 3).unwrap_or(usize::MAX));
    if most < wanted {
        tracing::warn!(
            wanted,
            connections = most,
            "the limit of open files allows fewer connections than http.max_connections"
        );
    }
    wanted.min(most).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_of_the_open_files_is_left_to_all_else() {
        assert_eq!(within(2_000, None), 2_000);
        assert_eq!(within(2_000, Some(1_024)), 768);
        assert_eq!(within(500, Some(1_024)), 500);
        assert_eq!(within(500, Some(0)), 1);
    }

    #[test]
    fn the_limit_is_raised_to_the_most() {
        assert_eq!(raise(), getrlimit(Resource::Nofile).maximum);
    }
}
