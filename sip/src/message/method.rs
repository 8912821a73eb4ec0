//! Request methods.

use std::fmt;

macro_rules! methods {
    ($($(#[$doc:meta])* $variant:ident = $text:literal),* $(,)?) => {
        /// A method. Case matters in SIP: `invite` is an extension method.
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Method<'a> {
            $($(#[$doc])* $variant,)*
            /// A method that has no variant of its own.
            Extension(&'a [u8]),
        }

        impl<'a> Method<'a> {
            /// The method of this name.
            pub fn from_bytes(name: &'a [u8]) -> Method<'a> {
                match name {
                    $($text => Method::$variant,)*
                    other => Method::Extension(other),
                }
            }

            /// The name as it is written.
            pub fn as_bytes(&self) -> &'a [u8] {
                match self {
                    $(Method::$variant => $text,)*
                    Method::Extension(name) => name,
                }
            }

            /// The same method without a borrow, if it is one that has a variant.
            pub fn known(self) -> Option<Method<'static>> {
                match self {
                    $(Method::$variant => Some(Method::$variant),)*
                    Method::Extension(_) => None,
                }
            }
        }
    };
}

methods! {
    /// RFC 3261.
    Invite = b"INVITE",
    /// RFC 3261.
    Ack = b"ACK",
    /// RFC 3261.
    Bye = b"BYE",
    /// RFC 3261.
    Cancel = b"CANCEL",
    /// RFC 3261.
    Options = b"OPTIONS",
    /// RFC 3261.
    Register = b"REGISTER",
    /// RFC 3262.
    Prack = b"PRACK",
    /// RFC 3311.
    Update = b"UPDATE",
    /// RFC 6086.
    Info = b"INFO",
    /// RFC 3515.
    Refer = b"REFER",
    /// RFC 6665.
    Notify = b"NOTIFY",
    /// RFC 6665.
    Subscribe = b"SUBSCRIBE",
    /// RFC 3428.
    Message = b"MESSAGE",
    /// RFC 3903.
    Publish = b"PUBLISH",
}

impl fmt::Display for Method<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.as_bytes().escape_ascii(), f)
    }
}

impl fmt::Debug for Method<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
