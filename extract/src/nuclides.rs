//! Nuclides by code: PS3.16 CID 18 and CID 4020, with the older SRT/SNM3/99SDM codes of the same
//! concepts, and the elements' names for what has only a meaning.

/// Nuclide of a code value; codes of different schemes do not collide.
pub(crate) fn by_code(code: &str) -> Option<&'static str> {
    let at = CODES.binary_search_by(|(known, _)| (*known).cmp(code)).ok()?;
    Some(CODES[at].1)
}

/// Nuclide of a text such as `^18^Fluorine`, `F-18`, `18F`, `F^18^` or `Fluorine-18`: one mass
/// number, and the name or symbol of one element.
pub(crate) fn by_meaning(meaning: &str) -> Option<String> {
    let (mut mass, mut metastable, mut element) = (None, false, None);
    for (word, is_number) in words(meaning) {
        if is_number && mass.is_none() {
            mass = word.parse::<u16>().ok().filter(|mass| (1..300).contains(mass));
        } else if word == "m" && mass.is_some() {
            metastable = true;
        } else if element.is_none() {
            element = symbol(word);
        }
    }
    Some(format!("{}{}{}", mass?, if metastable { "m" } else { "" }, element?))
}

/// Runs of digits and runs of letters.
fn words(text: &str) -> impl Iterator<Item = (&str, bool)> {
    let is_digit = |c: char| c.is_ascii_digit();
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
        let is_number = is_digit(rest.chars().next()?);
        let end =
            rest.find(|c: char| !c.is_ascii_alphanumeric() || is_digit(c) != is_number).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        rest = behind;
        Some((word, is_number))
    })
}

fn symbol(word: &str) -> Option<&'static str> {
    let known =
        |(name, symbol): &&(&str, &str)| name.eq_ignore_ascii_case(word) || symbol.eq_ignore_ascii_case(word);
    ELEMENTS.iter().find(known).map(|(_, symbol)| *symbol)
}

#[rustfmt::skip]
const CODES: &[(&str, &str)] = &[
    ("10738001", "86Y"),
    ("111084009", "85Sr"),
    ("126600", "44Sc"),
    ("126601", "51Mn"),
    ("126602", "70As"),
    ("126603", "90Nb"),
    ("126604", "191mIr"),
    ("126605", "43Sc"),
    ("126606", "152Tb"),
    ("126607", "52mMn"),
    ("129504001", "15O"),
    ("1368003", "131I"),
    ("14529005", "153Gd"),
    ("14691008", "90Y"),
    ("17910003", "75Br"),
    ("2008008", "67Ga"),
    ("21572004", "123I"),
    ("21576001", "13N"),
    ("23788009", "97Ru"),
    ("24301009", "198Au"),
    ("24853006", "223Ra"),
    ("2705002", "72As"),
    ("27054007", "57Co"),
    ("27081007", "127Xe"),
    ("3027009", "133Ba"),
    ("32505007", "32P"),
    ("34127007", "85Kr"),
    ("35337001", "68Ga"),
    ("37225000", "52Mn"),
    ("3932008", "64Cu"),
    ("395865006", "186Re"),
    ("40565003", "11C"),
    ("40937006", "124I"),
    ("41758004", "169Yb"),
    ("419804008", "153Sm"),
    ("422934004", "62Cu"),
    ("423578007", "188Re"),
    ("423764008", "38K"),
    ("424079002", "94mTc"),
    ("424875009", "14O"),
    ("425364008", "60Cu"),
    ("43239002", "75Se"),
    ("447553000", "177Lu"),
    ("47588004", "203Pb"),
    ("48895003", "113mIn"),
    ("52745005", "51Cr"),
    ("53315004", "68Ge"),
    ("53700003", "67Cu"),
    ("5405008", "60Co"),
    ("56609000", "111In"),
    ("58541008", "24Na"),
    ("59844004", "42K"),
    ("60057003", "201Tl"),
    ("61716009", "81mKr"),
    ("6301006", "178Ta"),
    ("63360001", "89Zr"),
    ("65054007", "62Zn"),
    ("68580003", "59Fe"),
    ("68630002", "125I"),
    ("69089000", "52Fe"),
    ("70544003", "199Au"),
    ("71425003", "61Cu"),
    ("71633006", "22Na"),
    ("71647005", "14C"),
    ("72454006", "99mTc"),
    ("75696008", "45Ti"),
    ("77004003", "18F"),
    ("7770004", "89Sr"),
    ("78023008", "87mSr"),
    ("79197006", "82Rb"),
    ("79477007", "66Ga"),
    ("79523006", "76Br"),
    ("80751004", "133Xe"),
    ("8202008", "43K"),
    ("86521004", "77Br"),
    ("87437000", "73Se"),
    ("89272005", "58Co"),
    ("C-1018C", "14O"),
    ("C-1018D", "188Re"),
    ("C-101ED", "177Lu"),
    ("C-105A1", "11C"),
    ("C-105A2", "14C"),
    ("C-106A1", "32P"),
    ("C-107A1", "13N"),
    ("C-111A1", "18F"),
    ("C-113A1", "75Br"),
    ("C-113A2", "76Br"),
    ("C-113A3", "77Br"),
    ("C-114A4", "123I"),
    ("C-114A5", "124I"),
    ("C-114A6", "125I"),
    ("C-114B1", "131I"),
    ("C-115A2", "72As"),
    ("C-116A2", "73Se"),
    ("C-116A3", "75Se"),
    ("C-11906", "186Re"),
    ("C-122A5", "133Ba"),
    ("C-127A1", "61Cu"),
    ("C-127A2", "64Cu"),
    ("C-127A3", "67Cu"),
    ("C-127A4", "60Cu"),
    ("C-127A5", "62Cu"),
    ("C-128A2", "68Ge"),
    ("C-129A2", "51Cr"),
    ("C-130A1", "52Fe"),
    ("C-130A3", "59Fe"),
    ("C-131A1", "66Ga"),
    ("C-131A2", "67Ga"),
    ("C-131A3", "68Ga"),
    ("C-132A8", "203Pb"),
    ("C-135A2", "42K"),
    ("C-135A3", "43K"),
    ("C-135A4", "38K"),
    ("C-136A2", "223Ra"),
    ("C-138A9", "201Tl"),
    ("C-141A1", "62Zn"),
    ("C-144A3", "57Co"),
    ("C-144A4", "58Co"),
    ("C-144A6", "60Co"),
    ("C-145A4", "111In"),
    ("C-145A5", "113mIn"),
    ("C-146A9", "198Au"),
    ("C-146B1", "199Au"),
    ("C-149A1", "52Mn"),
    ("C-155A1", "22Na"),
    ("C-155A2", "24Na"),
    ("C-156A6", "178Ta"),
    ("C-158A3", "85Sr"),
    ("C-158A5", "87mSr"),
    ("C-158A6", "89Sr"),
    ("C-159A2", "82Rb"),
    ("C-162A3", "86Y"),
    ("C-162A7", "90Y"),
    ("C-163A8", "99mTc"),
    ("C-163AA", "94mTc"),
    ("C-166A2", "45Ti"),
    ("C-168A4", "89Zr"),
    ("C-172A5", "127Xe"),
    ("C-172A8", "133Xe"),
    ("C-173A5", "81mKr"),
    ("C-173A7", "85Kr"),
    ("C-178A8", "153Gd"),
    ("C-180A2", "97Ru"),
    ("C-181A3", "169Yb"),
    ("C-B1038", "15O"),
    ("C-B1134", "153Sm"),
    ("C1943", "166Ho"),
];

#[rustfmt::skip]
const ELEMENTS: &[(&str, &str)] = &[
    ("Arsenic", "As"),
    ("Barium", "Ba"),
    ("Bromine", "Br"),
    ("Carbon", "C"),
    ("Chromium", "Cr"),
    ("Cobalt", "Co"),
    ("Copper", "Cu"),
    ("Fluorine", "F"),
    ("Gadolinium", "Gd"),
    ("Gallium", "Ga"),
    ("Germanium", "Ge"),
    ("Gold", "Au"),
    ("Holmium", "Ho"),
    ("Indium", "In"),
    ("Iodine", "I"),
    ("Iridium", "Ir"),
    ("Iron", "Fe"),
    ("Krypton", "Kr"),
    ("Lead", "Pb"),
    ("Lutetium", "Lu"),
    ("Manganese", "Mn"),
    ("Niobium", "Nb"),
    ("Nitrogen", "N"),
    ("Oxygen", "O"),
    ("Phosphorus", "P"),
    ("Potassium", "K"),
    ("Radium", "Ra"),
    ("Rhenium", "Re"),
    ("Rubidium", "Rb"),
    ("Ruthenium", "Ru"),
    ("Samarium", "Sm"),
    ("Scandium", "Sc"),
    ("Selenium", "Se"),
    ("Sodium", "Na"),
    ("Strontium", "Sr"),
    ("Tantalum", "Ta"),
    ("Technetium", "Tc"),
    ("Terbium", "Tb"),
    ("Thallium", "Tl"),
    ("Titanium", "Ti"),
    ("Xenon", "Xe"),
    ("Ytterbium", "Yb"),
    ("Yttrium", "Y"),
    ("Zinc", "Zn"),
    ("Zirconium", "Zr"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_sorted_for_the_search() {
        assert!(CODES.windows(2).all(|two| two[0].0 < two[1].0));
        for (code, nuclide) in
            [("C-111A1", "18F"), ("77004003", "18F"), ("C-163A8", "99mTc"), ("C-101ED", "177Lu")]
        {
            assert_eq!(by_code(code), Some(nuclide));
        }
        assert_eq!(by_code("x"), None);
    }

    #[test]
    fn meanings_are_understood() {
        for (meaning, nuclide) in [
            ("^18^Fluorine", Some("18F")),
            ("F-18", Some("18F")),
            ("18F", Some("18F")),
            ("Fluorine-18", Some("18F")),
            ("^99m^Technetium", Some("99mTc")),
            ("Tc99m", Some("99mTc")),
            ("Ga^68^", Some("68Ga")),
            ("FDG", None),
            ("", None),
        ] {
            assert_eq!(by_meaning(meaning).as_deref(), nuclide, "{meaning}");
        }
    }
}
