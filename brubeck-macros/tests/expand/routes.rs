// const ROUTES: Routes<App> = routes![slow, ..admin::ROUTES];

const ROUTES: Routes<App> = {
    type __Route0Listed = slow;
    type __Route0 = <::brubeck::__private::Checked<
        __Route0Listed,
        { <__Route0Listed as ::brubeck::__private::Routed>::CHECKED },
    > as ::brubeck::__private::Listed>::Handler;
    const __LEN: ::core::primitive::usize = 0 + 1 + admin::ROUTES.len();
    #[allow(unexpected_cfgs)]
    const _: () = {
        #[cfg(not(rust_analyzer))]
        const _: () = {
            #[allow(unused_imports)]
            use ::brubeck::__private::{
                Routed, Spec, emit_error, first_errors, join_specs, spec_references,
                specs, shadow_checks,
            };
            static COUNTS: [::core::primitive::usize; 2usize] = [1, admin::ROUTES.len()];
            static SPECS: [&Spec; __LEN] = join_specs(
                &[
                    &[&<__Route0 as Routed>::SPEC],
                    &specs::<_, { admin::ROUTES.len() }>(admin::ROUTES),
                ],
            );
            #[allow(long_running_const_eval)]
            static SHADOW_CHECKS: [::core::primitive::u32; __LEN] = shadow_checks(
                &SPECS,
                &COUNTS,
            );
            static FIRST_ERRORS: [::core::primitive::usize; 2usize] = first_errors(
                &SHADOW_CHECKS,
                &COUNTS,
            );
            const _: () = emit_error(&SPECS, &SHADOW_CHECKS, FIRST_ERRORS[0usize]);
            const _: () = emit_error(&SPECS, &SHADOW_CHECKS, FIRST_ERRORS[1usize]);
        };
    };
    let routes = ::brubeck::__private::table(const {
        &::brubeck::__private::join::<
            _,
            __LEN,
        >(&[&[::brubeck::__private::entry::<__Route0, _>()], admin::ROUTES.entries()])
    });
    routes
};
