// serves!(ROUTES => slow_echo);

const _: () = {
    use ::brubeck::__private::check_served;
    const LEN: ::core::primitive::usize = ROUTES.len();
    #[allow(long_running_const_eval)]
    const _: () = check_served::<_, LEN, _>(ROUTES, &slow_echo::OPERATIONS);
};
