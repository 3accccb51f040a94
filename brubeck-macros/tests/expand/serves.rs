// serves!(ROUTES => slow_echo);

const _: () = {
    use ::brubeck::__private::check_served;
    check_served(ROUTES, &slow_echo::OPERATIONS)
};
