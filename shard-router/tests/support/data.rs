//! Rows of a made-up archive: three domains' worth of patients, some without an id, values that
//! look like numbers, NULLs, and names that need quoting.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use shardex_catalog::ColumnType::{Integer, Real, Text};
use shardex_catalog::{Cell, Column, ColumnType, View};

/// Rows of a view.
pub(crate) type Rows = Vec<Vec<Cell>>;

type Names = &'static [(&'static str, ColumnType)];

const PATIENTS: Names = &[
    ("domain", Text),
    ("PatientID", Text),
    ("IssuerOfPatientID", Text),
    ("PatientName", Text),
    ("NumberOfPatientRelatedStudies", Integer),
    ("NumberOfPatientRelatedInstances", Integer),
    ("bytes", Integer),
];
const STUDIES: Names = &[
    ("domain", Text),
    ("PatientID", Text),
    ("PatientName", Text),
    ("StudyInstanceUID", Text),
    ("StudyDate", Text),
    ("NumberOfStudyRelatedInstances", Integer),
];
const SERIES: Names = &[
    ("domain", Text),
    ("PatientID", Text),
    ("StudyInstanceUID", Text),
    ("StudyDate", Text),
    ("SeriesInstanceUID", Text),
    ("Modality", Text),
    ("SeriesNumber", Integer),
    ("Manufacturer", Text),
];
const INSTANCES: Names = &[
    ("domain", Text),
    ("PatientID", Text),
    ("PatientName", Text),
    ("StudyInstanceUID", Text),
    ("StudyDate", Text),
    ("SeriesInstanceUID", Text),
    ("Modality", Text),
    ("SeriesNumber", Integer),
    ("Manufacturer", Text),
    ("SOPInstanceUID", Text),
    ("InstanceNumber", Integer),
    ("Rows", Integer),
    ("SliceThickness", Real),
    ("ImageType", Text),
    ("RadiopharmaceuticalInformationSequence", ColumnType::Items),
];
const DICOM_METADATA: Names = &[
    ("domain", Text),
    ("patient_id", Text),
    ("patient_name", Text),
    ("study_instance_uid", Text),
    ("study_date", Text),
    ("series_instance_uid", Text),
    ("modality", Text),
    ("series_number", Integer),
    ("manufacturer", Text),
    ("sop_instance_uid", Text),
    ("instance_number", Integer),
    ("rows", Integer),
    ("slice_thickness", Real),
    ("image_type", Text),
    ("radiopharmaceutical", Text),
];
const FILES: Names = &[
    ("domain", Text),
    ("source", Text),
    ("path", Text),
    ("size", Integer),
    ("mtime", Real),
    ("state", Text),
    ("reason", Text),
    ("kind", Text),
    ("file_path", Text),
    ("SOPInstanceUID", Text),
];
const ODD_VALUES: Names = &[("domain", Text), ("path", Text), ("keyword", Text), ("raw", Text)];
const RADIOPHARMACEUTICALS: Names =
    &[("domain", Text), ("SeriesInstanceUID", Text), ("item", Integer), ("Radiopharmaceutical", Text)];
const CONFLICTS: Names =
    &[("domain", Text), ("StudyInstanceUID", Text), ("keyword", Text), ("n_values", Integer)];

/// Columns of the views.
pub(crate) fn columns(view: View) -> &'static [Column] {
    static VIEWS: LazyLock<BTreeMap<View, Vec<Column>>> = LazyLock::new(|| {
        let column = |(name, column_type): &(&str, ColumnType)| Column {
            name: (*name).into(),
            column_type: *column_type,
        };
        View::ALL.iter().map(|view| (*view, names(*view).iter().map(column).collect())).collect()
    });
    &VIEWS[&view]
}

fn names(view: View) -> Names {
    match view {
        View::Patients => PATIENTS,
        View::Studies => STUDIES,
        View::Series => SERIES,
        View::Instances => INSTANCES,
        View::DicomMetadata => DICOM_METADATA,
        View::Files => FILES,
        View::OddValues => ODD_VALUES,
        View::Radiopharmaceuticals => RADIOPHARMACEUTICALS,
        View::Conflicts => CONFLICTS,
    }
}

/// A linear congruential generator: enough to make values uneven, the same every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn one_of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[usize::try_from(self.below(choices.len() as u64)).expect("few choices")]
    }

    fn or_null(&mut self, cell: Cell) -> Cell {
        if self.below(5) == 0 { Cell::Null } else { cell }
    }
}

fn text(text: impl Into<String>) -> Cell {
    Cell::Text(text.into())
}

/// Views of each shard; the views of all rows together; rows of the ledger.
pub(crate) struct Archive {
    pub(crate) shards: BTreeMap<String, BTreeMap<View, Rows>>,
    pub(crate) all: BTreeMap<View, Rows>,
    pub(crate) ledger: Rows,
}

/// An archive of `studies` studies by year of study and bucket.
pub(crate) fn archive(studies: u64) -> Archive {
    let mut dice = Dice(7);
    let mut shards: BTreeMap<String, BTreeMap<View, Rows>> = BTreeMap::new();
    for n in 0..studies {
        let study = study(n, &mut dice);
        let Cell::Text(date) = &study[0][4] else { panic!("every study has a date here") };
        let shard = format!("{}/{}", &date[..4], n % 2);
        let views = shards.entry(shard).or_default();
        views.entry(View::Instances).or_default().extend(study);
    }
    let mut all = BTreeMap::new();
    for views in shards.values_mut() {
        let instances = views.remove(&View::Instances).unwrap_or_default();
        all.entry(View::Instances).or_insert_with(Rows::new).extend(instances.clone());
        *views = derived(&instances);
    }
    let instances = all.remove(&View::Instances).unwrap_or_default();
    let mut all = derived(&instances);
    let ledger: Rows = (0..20).map(|n| unindexed(n, &mut dice)).collect();
    all.entry(View::Files).or_default().extend(ledger.clone());
    Archive { shards, all, ledger }
}

fn study(n: u64, dice: &mut Dice) -> Rows {
    let patient = dice.below(12);
    let domain = dice.one_of(&["default", "research"]);
    // One patient has no id; the ids of others look like numbers.
    let (id, name) = match patient {
        0 => (Cell::Null, Cell::Null),
        1..=5 => (text((12340 + patient).to_string()), text(format!("DOE^JANE {patient}"))),
        _ => (text(format!("PAT{patient:03}")), text(format!("Müller^O'Hara {patient}"))),
    };
    let date = format!("{}{:02}{:02}", 2017 + dice.below(4), 1 + dice.below(12), 1 + dice.below(28));
    let mut rows = Rows::new();
    for series in 0..1 + dice.below(3) {
        let modality = dice.one_of(&["CT", "MR", "PT", "US"]);
        let number = dice.or_null(Cell::Integer(series.cast_signed() + 1));
        let manufacturer = text(dice.one_of(&["SIEMENS", "Siemens", "GE", "Philips"]));
        let manufacturer = dice.or_null(manufacturer);
        for instance in 0..1 + dice.below(6) {
            let pixels = Cell::Integer(64 << dice.below(4));
            let thickness = Cell::Real(f64::from(u8::try_from(dice.below(40)).expect("small")) / 8.0);
            rows.push(vec![
                text(domain),
                id.clone(),
                name.clone(),
                text(format!("1.2.{n}")),
                text(date.clone()),
                text(format!("1.2.{n}.{series}")),
                text(modality),
                number.clone(),
                manufacturer.clone(),
                text(format!("1.2.{n}.{series}.{instance}")),
                Cell::Integer(instance.cast_signed()),
                dice.or_null(pixels),
                dice.or_null(thickness),
                text(dice.one_of(&["ORIGINAL\\PRIMARY", "DERIVED\\SECONDARY\\X"])),
                if modality == "PT" { text(r#"[{"Radiopharmaceutical":"FDG"}]"#) } else { Cell::Null },
            ]);
        }
    }
    rows
}

fn unindexed(n: u64, dice: &mut Dice) -> Vec<Cell> {
    let state = dice.one_of(&["not_dicom", "quarantined", "skipped", "deleted"]);
    let path = if n == 3 { Cell::Blob(vec![b'x', 0xFF]) } else { text(format!("odd/{n}.bin")) };
    vec![
        text("default"),
        text("scans"),
        path.clone(),
        Cell::Integer(n.cast_signed() * 10),
        Cell::Real(1.5),
        text(state),
        dice.or_null(text("truncated")),
        text("zip"),
        path,
        Cell::Null,
    ]
}

/// A row, its instances, its studies.
type Group = (Vec<Cell>, i64, BTreeSet<String>);

/// All views of a set of instances, as SQL views would give them.
fn derived(instances: &Rows) -> BTreeMap<View, Rows> {
    let mut views: BTreeMap<View, Rows> = View::ALL.iter().map(|view| (*view, Rows::new())).collect();
    let at = |name: &str| INSTANCES.iter().position(|(known, _)| *known == name).expect("a column");
    let pick =
        |row: &[Cell], names: &[&str]| names.iter().map(|name| row[at(name)].clone()).collect::<Vec<_>>();
    let mut groups: BTreeMap<(View, String), Group> = BTreeMap::new();
    for row in instances {
        views.entry(View::Instances).or_default().push(row.clone());
        let mut flat = row.clone();
        let tracer = if row[14] == Cell::Null { Cell::Null } else { text("FDG") };
        flat[14] = tracer.clone();
        views.entry(View::DicomMetadata).or_default().push(flat);
        let path = format!("{:?}.dcm", row[9]);
        let mut file =
            vec![row[0].clone(), text("scans"), text(path.clone()), Cell::Integer(4000), Cell::Real(2.0)];
        file.extend([text("indexed"), Cell::Null, text("dicom"), text(format!("/x/{path}")), row[9].clone()]);
        views.entry(View::Files).or_default().push(file);
        if row[11] == Cell::Null {
            let odd = vec![row[0].clone(), text(path), text("Rows"), text("many")];
            views.entry(View::OddValues).or_default().push(odd);
        }
        let series = SERIES.iter().map(|(name, _)| *name).collect::<Vec<_>>();
        let study = STUDIES.iter().map(|(name, _)| *name).take(5).collect::<Vec<_>>();
        let patient =
            PATIENTS.iter().map(|(name, _)| *name).filter(|name| INSTANCES.iter().any(|c| c.0 == *name));
        let patient: Vec<_> = patient.collect();
        let patient_key =
            if row[1] == Cell::Null { format!("{:?}", row[3]) } else { format!("{:?}", &row[..2]) };
        for (view, key, names) in [
            (View::Series, format!("{:?}", row[5]), &series),
            (View::Studies, format!("{:?}", row[3]), &study),
            (View::Patients, patient_key, &patient),
        ] {
            let group = groups.entry((view, key)).or_insert_with(|| (pick(row, names), 0, BTreeSet::new()));
            group.1 += 1;
            group.2.insert(format!("{:?}", row[3]));
        }
    }
    for ((view, _), (mut row, instances, studies)) in groups {
        let studies = i64::try_from(studies.len()).expect("few");
        match view {
            View::Studies => row.push(Cell::Integer(instances)),
            View::Patients => {
                row.insert(2, Cell::Null);
                row.extend([
                    Cell::Integer(studies),
                    Cell::Integer(instances),
                    Cell::Integer(instances * 4000),
                ]);
            }
            _ => {
                if row[5] == text("PT") {
                    let item = vec![row[0].clone(), row[4].clone(), Cell::Integer(1), text("FDG")];
                    views.entry(View::Radiopharmaceuticals).or_default().push(item);
                }
            }
        }
        views.entry(view).or_default().push(row);
    }
    views
}
