//! What series of each modality share (PS3.3 C.8).

use crate::encode::Elements;
use crate::headers::Context;
use crate::plan::Kind;

/// Modality (PS3.3 C.7.3.1.1.1).
pub(crate) fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Ct => "CT",
        Kind::Mr | Kind::MrCsa | Kind::EnhancedMr => "MR",
        Kind::Pt => "PT",
        Kind::Us => "US",
        Kind::Cr => "CR",
    }
}

/// SOP class UID (PS3.6 A).
pub(crate) fn class(kind: Kind) -> &'static str {
    match kind {
        Kind::Ct => "1.2.840.10008.5.1.4.1.1.2",
        Kind::Mr | Kind::MrCsa => "1.2.840.10008.5.1.4.1.1.4",
        Kind::EnhancedMr => "1.2.840.10008.5.1.4.1.1.4.1",
        Kind::Pt => "1.2.840.10008.5.1.4.1.1.128",
        Kind::Us => "1.2.840.10008.5.1.4.1.1.6.1",
        Kind::Cr => "1.2.840.10008.5.1.4.1.1.1",
    }
}

pub(crate) fn shared(context: &mut Context, to: &mut Elements) {
    match context.series.kind {
        Kind::Ct => ct(context, to),
        Kind::Mr | Kind::MrCsa | Kind::EnhancedMr => mr(context, to),
        Kind::Pt => pt(context, to),
        Kind::Us => us(to),
        Kind::Cr => cr(to),
    }
}

/// Image pixel module (PS3.3 C.7.6.3).
fn pixels(to: &mut Elements, rows: u16, stored: u16, signed: u16) {
    to.us(0x0028_0002, 1);
    to.text(0x0028_0004, b"CS", "MONOCHROME2");
    to.us(0x0028_0010, rows);
    to.us(0x0028_0011, rows);
    to.us(0x0028_0100, 16);
    to.us(0x0028_0101, stored);
    to.us(0x0028_0102, stored - 1);
    to.us(0x0028_0103, signed);
    to.text(0x0028_1055, b"LO", "WINDOW1");
    to.text(0x0028_0301, b"CS", "NO");
    to.text(0x0028_2110, b"CS", "00");
}

/// Of planes in space (PS3.3 C.7.6.2).
fn plane(to: &mut Elements, spacing: &str, orientation: &str, thickness: &str) {
    to.text(0x0018_0050, b"DS", thickness);
    to.text(0x0020_0012, b"IS", "1");
    to.text(0x0020_0037, b"DS", orientation);
    to.text(0x0020_1002, b"IS", "240");
    to.text(0x0028_0030, b"DS", spacing);
}

fn ct(context: &mut Context, to: &mut Elements) {
    pixels(to, 512, 12, 0);
    let spacing = format!("0.{0}\\0.{0}", context.random.range(5_000_000, 9_800_000));
    plane(to, &spacing, "1\\0\\0\\0\\1\\0", "1.25");
    for (tag, vr, value) in [
        (0x0008_0008, b"CS", "ORIGINAL\\PRIMARY\\AXIAL"),
        (0x0018_0010, b"LO", "Syntholon 300"),
        (0x0018_0022, b"CS", "HELICAL"),
        (0x0018_0060, b"DS", "120"),
        (0x0018_0088, b"DS", "1.25"),
        (0x0018_0090, b"DS", "500"),
        (0x0018_1040, b"LO", "IV"),
        (0x0018_1041, b"DS", "80"),
        (0x0018_1100, b"DS", "380"),
        (0x0018_1110, b"DS", "1040"),
        (0x0018_1111, b"DS", "570"),
        (0x0018_1120, b"DS", "0"),
        (0x0018_1130, b"DS", "155.5"),
        (0x0018_1140, b"CS", "CW"),
        (0x0018_1150, b"IS", "500"),
        (0x0018_1160, b"SH", "BODY FILTER"),
        (0x0018_1170, b"IS", "42"),
        (0x0018_1190, b"DS", "1.2"),
        (0x0018_1210, b"SH", "B30f"),
        (0x0018_9323, b"CS", "XYZ_EC"),
        (0x0028_1050, b"DS", "40\\-600"),
        (0x0028_1051, b"DS", "400\\1500"),
        (0x0028_1052, b"DS", "-1024"),
        (0x0028_1053, b"DS", "1"),
        (0x0028_1054, b"LO", "HU"),
    ] {
        to.text(tag, vr, value);
    }
    for (tag, value) in [
        (0x0018_9305, 0.5),
        (0x0018_9306, 0.625),
        (0x0018_9307, 40.0),
        (0x0018_9309, 39.37),
        (0x0018_9310, 39.37),
        (0x0018_9311, 0.984),
    ] {
        to.fd(tag, value);
    }
}

fn mr(context: &mut Context, to: &mut Elements) {
    pixels(to, 256, 12, 0);
    let tilt = context.random.range(1_000_000, 9_000_000);
    plane(to, "0.8984\\0.8984", &format!("1\\-0.00{tilt}\\0\\0\\0.99{tilt}\\-0.04{tilt}"), "4");
    let echo = context.random.range(8, 120);
    for (tag, vr, value) in [
        (0x0008_0008, b"CS", "ORIGINAL\\PRIMARY\\M\\ND\\NORM"),
        (0x0018_0020, b"CS", "SE"),
        (0x0018_0021, b"CS", "SK\\SP\\OSP"),
        (0x0018_0022, b"CS", "PFP\\SFS"),
        (0x0018_0023, b"CS", "2D"),
        (0x0018_0024, b"SH", "*tse2d1_15"),
        (0x0018_0025, b"CS", "N"),
        (0x0018_0080, b"DS", "4000"),
        (0x0018_0082, b"DS", "0"),
        (0x0018_0083, b"DS", "1"),
        (0x0018_0084, b"DS", "123.253"),
        (0x0018_0085, b"SH", "1H"),
        (0x0018_0086, b"IS", "1"),
        (0x0018_0087, b"DS", "3"),
        (0x0018_0088, b"DS", "4.4"),
        (0x0018_0089, b"IS", "230"),
        (0x0018_0091, b"IS", "15"),
        (0x0018_0093, b"DS", "80"),
        (0x0018_0094, b"DS", "100"),
        (0x0018_0095, b"DS", "220"),
        (0x0018_1250, b"SH", "Body"),
        (0x0018_1251, b"SH", "Body"),
        (0x0018_1310, b"US", "\u{0}\u{0}\u{40}\u{1}\u{0}\u{1}\u{0}\u{0}"),
        (0x0018_1312, b"CS", "ROW"),
        (0x0018_1314, b"DS", "150"),
        (0x0018_1315, b"CS", "N"),
        (0x0018_1316, b"DS", "1.234"),
        (0x0018_1318, b"DS", "0"),
        (0x0020_0100, b"IS", "1"),
    ] {
        to.text(tag, vr, value);
    }
    to.text(0x0018_0081, b"DS", &echo.to_string());
}

fn pt(context: &mut Context, to: &mut Elements) {
    pixels(to, 168, 16, 1);
    plane(to, "4.07283\\4.07283", "1\\0\\0\\0\\1\\0", "3");
    for (tag, vr, value) in [
        (0x0008_0008, b"CS", "ORIGINAL\\PRIMARY"),
        (0x0018_1181, b"CS", "NONE"),
        (0x0018_1210, b"SH", "XYZGAUSSIAN5.00"),
        (0x0018_1147, b"CS", "CYLINDRICAL RING"),
        (0x0018_1149, b"IS", "605\\162"),
        (0x0028_0051, b"CS", "NORM\\DTIM\\ATTN\\SCAT\\DECY\\RAN"),
        (0x0054_1000, b"CS", "STATIC\\IMAGE"),
        (0x0054_1001, b"CS", "BQML"),
        (0x0054_1002, b"CS", "EMISSION"),
        (0x0054_1100, b"CS", "DLYD"),
        (0x0054_1101, b"LO", "measured"),
        (0x0054_1102, b"CS", "START"),
        (0x0054_1103, b"LO", "OSEM3D 4i21s"),
        (0x0054_1105, b"LO", "Model-based"),
        (0x0054_1200, b"DS", "435"),
        (0x0054_1201, b"IS", "2\\4"),
    ] {
        to.text(tag, vr, value);
    }
    to.put(0x0054_0081, b"US", &109_u16.to_le_bytes());
    let mut item = Elements::new(to.syntax());
    let (agent, code, isotope) = context.random.pick(&[
        ("Fluorodeoxyglucose", "C-111A1", "^18^Fluorine"),
        ("PSMA-1007", "C-111A1", "^18^Fluorine"),
        ("DOTATOC", "C-131A3", "^68^Gallium"),
    ]);
    item.text(0x0018_0031, b"LO", agent);
    item.text(0x0018_1071, b"DS", "0");
    item.text(0x0018_1072, b"TM", &context.time(0));
    item.text(0x0018_1074, b"DS", &context.random.range(120_000_000, 380_000_000).to_string());
    item.text(0x0018_1075, b"DS", "6586.2");
    item.text(0x0018_1076, b"DS", "0.97");
    item.code(0x0054_0300, code, "SRT", isotope);
    to.sequence(0x0054_0016, &[item]);
}

fn us(to: &mut Elements) {
    pixels(to, 600, 8, 0);
    for (tag, vr, value) in [
        (0x0008_0008, b"CS", "ORIGINAL\\PRIMARY\\ABDOMINAL\\0001"),
        (0x0008_2111, b"ST", "Synthetic ultrasound"),
        (0x0018_6031, b"CS", "CURVED LINEAR"),
        (0x0018_5010, b"LO", "C5-1"),
        (0x0028_0009, b"CS", ""),
        (0x0028_2112, b"DS", "10.2"),
        (0x0028_2114, b"CS", "ISO_10918_1"),
    ] {
        to.text(tag, vr, value);
    }
    let mut region = Elements::new(to.syntax());
    region.us(0x0018_6012, 1);
    region.us(0x0018_6014, 1);
    region.put(0x0018_6018, b"UL", &10_u32.to_le_bytes());
    region.fd(0x0018_602C, 0.0312);
    region.fd(0x0018_602E, 0.0312);
    to.sequence(0x0018_6011, &[region]);
}

fn cr(to: &mut Elements) {
    pixels(to, 2140, 12, 0);
    for (tag, vr, value) in [
        (0x0008_0008, b"CS", "DERIVED\\PRIMARY"),
        (0x0018_0060, b"DS", "85"),
        (0x0018_1004, b"LO", "PLATE 12"),
        (0x0018_1164, b"DS", "0.1\\0.1"),
        (0x0018_1260, b"SH", "CODE 30"),
        (0x0018_1400, b"LO", "Tissue contrast"),
        (0x0018_1401, b"LO", "PROC 1"),
        (0x0018_1402, b"CS", "PORTRAIT"),
        (0x0018_1403, b"CS", "35CMX43CM"),
        (0x0018_1508, b"CS", ""),
        (0x0018_5101, b"CS", "PA"),
        (0x0018_6000, b"DS", "400"),
        (0x0020_0020, b"CS", "L\\F"),
        (0x0020_0060, b"CS", ""),
        (0x0028_1050, b"DS", "2048"),
        (0x0028_1051, b"DS", "4096"),
        (0x2050_0020, b"CS", "IDENTITY"),
    ] {
        to.text(tag, vr, value);
    }
}
