//! Every codec at once: properties that hold for any bytes and any message.

mod properties;
