//! Listings that take more than one page.

use crate::output::Output;
use eddy_api::PageQuery;
use eddy_types::EddyError;
use eddy_types::limits::MAX_PAGE;

/// At most `limit` items, over as many pages as it takes, and the cursor of those that are left.
///
/// Errors: those of `page`, which asks for one.
pub(crate) async fn listed<T>(
    limit: usize,
    page: impl AsyncFn(&PageQuery) -> Result<(Vec<T>, Option<String>), EddyError>,
) -> Result<(Vec<T>, Option<String>), EddyError> {
    let (mut items, mut next) = (Vec::new(), None);
    while items.len() < limit {
        let query = PageQuery {
            cursor: next,
            limit: Some((limit - items.len()).min(MAX_PAGE)),
        };
        let (more, after) = page(&query).await?;
        items.extend(more);
        next = after;
        if next.is_none() {
            break;
        }
    }
    Ok((items, next))
}

/// Says that a listing was cut, when it was.
pub(crate) fn say_of_more(next: Option<&String>, output: &Output) {
    if next.is_some() {
        output.say("There are more; --limit lists more of them.");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lists numbers below `all` as a node would.
    async fn of(all: usize, limit: usize) -> (Vec<usize>, Option<String>) {
        let page = async |query: &PageQuery| {
            let from = query
                .cursor
                .as_deref()
                .map_or(0, |at| at.parse().expect("ours"));
            let wanted = query.limit.expect("a limit");
            assert!((1..=MAX_PAGE).contains(&wanted), "{wanted}");
            let to = all.min(from + wanted);
            Ok(((from..to).collect(), (to < all).then(|| to.to_string())))
        };
        listed(limit, page).await.expect("it lists")
    }

    #[tokio::test]
    async fn a_limit_may_take_many_pages_or_none() {
        for (all, limit) in [
            (0, 20),
            (5, 0),
            (5, 5),
            (30, 20),
            (2500, 2400),
            (2500, 9000),
        ] {
            let (items, next) = of(all, limit).await;
            assert!(items.into_iter().eq(0..all.min(limit)), "{limit} of {all}");
            // Nothing was asked for, and so nothing is known.
            assert_eq!(next.is_some(), limit > 0 && limit < all, "{limit} of {all}");
        }
    }
}
