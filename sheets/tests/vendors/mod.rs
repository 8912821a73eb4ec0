//! Six vendors whose files look as odd as real ones do.
#![allow(clippy::unwrap_used)]

use encoding_rs::UTF_16LE;
use rust_xlsxwriter::{ExcelDateTime, Format, Workbook};

/// A file and its name.
pub(crate) type File = (&'static str, Vec<u8>);

/// German, Windows-1252, semicolons, decimal commas, lists and ranges of codes, titles between the
/// rows, blank rows, a footer.
pub(crate) fn aurora() -> File {
    let text = "Aurora Telecom GmbH;;;;\n\
        Preisliste Nr. 17;;;Währung:;EUR\n\
        ;;;;\n\
        Zielgebiet;Vorwahl;Preis €/Min.;Taktung;Gültig ab\n\
        EUROPA;;;;\n\
        Österreich Mobil;43660, 43664, 43676-43678;0,0915;60/1;01.12.2026\n\
        ;;;;\n\
        Türkei;\"90; 90392\";0,1200;1/1;15.12.2026\n\
        Schweiz Mobil;4176-79;0,25;60/60;01.12.2026\n\
        Schweiz Mobil;4177;0,25;60/60;01.12.2026\n\
        Polen;48x;0,01;60/60;01.12.2026\n\
        Malta;356;gratis;60/60;01.12.2026\n\
        \n\
        Alle Preise ohne Umsatzsteuer;;;;\n";
    ("aurora.csv", encoding_rs::WINDOWS_1252.encode(text).0.into_owned())
}

/// UTF-16, tabs, country and area apart, the country only where it changes, increments in the
/// remarks, the day first.
pub(crate) fn borealis() -> File {
    let text = "Country\tCC\tArea\tArea Codes\tPrice USD\tEffective Date\tRemarks\r\n\
        Norway\t47\tFixed\t\t0.012\t13/12/2026\tper minute\r\n\
        \t\tMobile\t4, 9\t0.034\t01/12/2026\tbilling 30/6\r\n\
        \t\tSpecial\t82\t0.5\t01/12/2026\t\r\n\
        USA\t1\tAlaska\t907\t0.02\t01/12/2026\tfirst 6 s then 6\r\n\
        \t\tHawaii\t808\t0.0200000001\t01/12/2026\t\r\n";
    let mut bytes = vec![0xff, 0xfe];
    bytes.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
    assert_eq!(UTF_16LE.name(), "UTF-16LE");
    ("borealis.txt", bytes)
}

/// A workbook with a cover, rates below a long head, numbers and dates of Excel, and a worksheet of
/// removals.
pub(crate) fn cygnus() -> File {
    let mut book = Workbook::new();
    let cover = book.add_worksheet();
    cover.set_name("Cover").unwrap();
    cover.write(0, 0, "Dear partner, please find our new rates inside.").unwrap();
    let date = Format::new().set_num_format("yyyy-mm-dd");
    let december = ExcelDateTime::from_ymd(2026, 12, 1).unwrap();
    let rates = book.add_worksheet();
    rates.set_name("A-Z Rates").unwrap();
    rates.write(0, 0, "Cygnus Carrier Services").unwrap();
    rates.write(2, 0, "Effective from:").unwrap();
    rates.write_with_format(2, 1, &december, &date).unwrap();
    rates.write(3, 0, "All rates in USD").unwrap();
    for (column, title) in
        ["Destination", "Dial Code", "Rate", "Increment", "Effective", "Change"].iter().enumerate()
    {
        rates.write(6, column as u16, *title).unwrap();
    }
    let rows: [(&str, f64, f64, &str, &str); 6] = [
        ("Brazil", 55.0, 0.0123, "1/1", "New"),
        ("Brazil Mobile", 55_119.0, 0.1 + 0.2, "60/6", "Increase"),
        ("Chile", 56.0, 0.02, "60/60", "No change"),
        ("Cuba", 53.0, 0.0, "60/60", "Blocked"),
        ("Peru", 51.0, 0.03, "60/60", "Deleted"),
        ("Bolivia", 591.0, 0.03, "60/60", "Pending"),
    ];
    for (row, (name, code, rate, increment, change)) in rows.iter().enumerate() {
        // A blank row in the middle.
        let row = row as u32 + 7 + u32::from(row > 2);
        rates.write(row, 0, *name).unwrap();
        rates.write(row, 1, *code).unwrap();
        rates.write(row, 2, *rate).unwrap();
        rates.write(row, 3, *increment).unwrap();
        rates.write_with_format(row, 4, &december, &date).unwrap();
        rates.write(row, 5, *change).unwrap();
    }
    let removed = book.add_worksheet();
    removed.set_name("Deleted Codes").unwrap();
    removed.write(0, 0, "Code").unwrap();
    removed.write(0, 1, "Effective Date").unwrap();
    removed.write(1, 0, 5521).unwrap();
    removed.write_with_format(1, 1, &december, &date).unwrap();
    removed.write(2, 0, "5531-5533").unwrap();
    ("cygnus.xlsx", book.save_to_buffer().unwrap())
}

/// North American: prices between and within states and for unknown callers, in cents.
pub(crate) fn draco() -> File {
    let text = "NPANXX,Interstate Rate (cents),Intrastate Rate (cents),Indeterminate Rate (cents),Eff Date,Initial Increment,Additional Increment\n\
        1201200,0.12,0.34,0.34,12/31/2026,6,6\n\
        1201201,0.15,0.10,0.15,01/12/2026,6,6\n\
        1201201,0.15,0.10,0.15,01/12/2026,6,6\n\
        1201202,0.15,,,01/12/2026,6,6\n\
        1201203,,,,01/12/2026,6,6\n\
        Total records: 5,,,,,,\n";
    ("draco.csv", text.as_bytes().to_vec())
}

/// No header, bars, a price per minute with a comma.
pub(crate) fn eridanus() -> File {
    let text = "Argentina|54|0,0150|60/60\n\
        Argentina Mobile|549|0,1200|60/60\n\
        |||\n\
        Uruguay|598|0,0900|1/1\n\
        Uruguay Mobile|5989|1.234,5678|1/1\n";
    ("eridanus.txt", text.as_bytes().to_vec())
}

/// Prices a second, the header on every page, codes that Excel has spoilt, the month first.
pub(crate) fn fornax() -> File {
    let text = "Fornax Ltd,,,,,\n\
        Code,Location,Price/sec ($),Conn. Fee,Valid From,Valid To\n\
        4.4E+1,United Kingdom,0.0001,0.01,12/31/26,\n\
        4.47E+11,United Kingdom Mobile,0.0003,0.01,12/31/26,\n\
        Code,Location,Price/sec ($),Conn. Fee,Valid From,Valid To\n\
        0033,France,0.0001,,12/31/26,until further notice\n\
        336,France Mobile,0.0002,,12/31/26,06/30/26\n\
        '39,Italy,0.00012,,immediately,\n\
        1-684,American Samoa,0.001,,12/31/26,\n";
    ("fornax.csv", text.as_bytes().to_vec())
}

/// All of them.
pub(crate) fn all() -> Vec<File> {
    vec![aurora(), borealis(), cygnus(), draco(), eridanus(), fornax()]
}
