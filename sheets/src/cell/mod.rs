//! What single cells mean: codes, prices, dates, increments. Each says why it cannot be read and how
//! to mend it, and when it had to be repaired.

pub(crate) mod code;
pub(crate) mod increment;
pub(crate) mod moment;
pub(crate) mod price;
