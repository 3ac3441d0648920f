//! The behaviour suite: what `ctx` does is the same in every language. Each language has the same app, whose
//! contract is guests/behaviour/README.md, and each test here runs against each of them, through a real node.

mod app;
mod calls;
mod effects;
mod fetching;
mod functions;
mod messages;
mod state;

pub(crate) use app::guest_target;
use app::{App, Language};

/// Each topic as a test of its own in each language.
macro_rules! in_every_language {
    ($($module:ident :: $topic:ident,)+) => {
        in_every_language!(@ typescript TypeScript $($module::$topic,)+);
        in_every_language!(@ rust Rust $($module::$topic,)+);
        in_every_language!(@ python Python $($module::$topic,)+);
    };
    (@ $name:ident $language:ident $($module:ident :: $topic:ident,)+) => {
        mod $name {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $topic() {
                    let app = super::App::up(super::Language::$language);
                    super::$module::$topic(&app).await;
                }
            )+
        }
    };
}

in_every_language! {
    functions::what_the_app_defines,
    functions::arguments_and_results,
    functions::surroundings_and_log,
    functions::errors,
    state::values_and_listings,
    state::queries_only_read,
    state::an_error_discards_the_turn,
    calls::calls_between_agents_and_functions,
    calls::errors_of_others_are_caught_by_code,
    calls::what_cannot_be_called,
    effects::several_at_once,
    effects::the_first_and_the_late,
    effects::what_is_not_awaited_is_withdrawn,
    effects::what_is_kept_is_closed,
    messages::sends_arrive_in_order_or_never,
    messages::timers_ring_are_replaced_and_cancelled,
    fetching::requests_to_allowed_hosts,
}
