//! The table of all indexed attributes: one line each.
//!
//! Level is where an attribute is stored, and follows how it varies inside real series; scope is
//! where it is asked for. A new attribute is one more line with its schema version, at the end of
//! its section; a line that has been released is never changed, because stored digests cover it.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::attribute::Source::{Items, Paths};
use crate::attribute::Vr::{AS, CS, DA, DS, DT, FD, FL, IS, LO, LT, PN, SH, SQ, ST, TM, UI, UL, US, UT};
use crate::attribute::{Attribute, AttributeId, ColumnType, Derivation, Level, Scope, Source, Vr};

/// All indexed attributes. [`AttributeId`] is an index into this table.
#[rustfmt::skip]
pub static ATTRIBUTES: &[Attribute] = &[
    // Patient (PS3.3 C.7.1.1, C.7.1.3, C.7.2.2).
    one("PatientID", LO, Paths(&[&[0x0010_0020]]), Scope::Patient, Level::Study).indexed(),
    one("IssuerOfPatientID", LO, Paths(&[&[0x0010_0021]]), Scope::Patient, Level::Study),
    one("PatientName", PN, Paths(&[&[0x0010_0010]]), Scope::Patient, Level::Study).indexed(),
    one("PatientBirthDate", DA, Paths(&[&[0x0010_0030]]), Scope::Patient, Level::Study),
    one("PatientBirthTime", TM, Paths(&[&[0x0010_0032]]), Scope::Patient, Level::Study),
    one("PatientSex", CS, Paths(&[&[0x0010_0040]]), Scope::Patient, Level::Study),
    one("PatientAge", AS, Paths(&[&[0x0010_1010]]), Scope::Patient, Level::Study),
    one("PatientSize", DS, Paths(&[&[0x0010_1020]]), Scope::Patient, Level::Study),
    one("PatientWeight", DS, Paths(&[&[0x0010_1030]]), Scope::Patient, Level::Study),
    many("OtherPatientIDs", LO, Paths(&[&[0x0010_1000]]), Scope::Patient, Level::Study),
    many("OtherPatientNames", PN, Paths(&[&[0x0010_1001]]), Scope::Patient, Level::Study),
    one("EthnicGroup", SH, Paths(&[&[0x0010_2160]]), Scope::Patient, Level::Study),
    one("PatientComments", LT, Paths(&[&[0x0010_4000]]), Scope::Patient, Level::Study),
    one("PatientSpeciesDescription", LO, Paths(&[&[0x0010_2201]]), Scope::Patient, Level::Study),
    one("QualityControlSubject", CS, Paths(&[&[0x0010_0200]]), Scope::Patient, Level::Study),
    one("PatientIdentityRemoved", CS, Paths(&[&[0x0012_0062]]), Scope::Patient, Level::Study),
    many("DeidentificationMethod", LO, Paths(&[&[0x0012_0063]]), Scope::Patient, Level::Study),
    one("LongitudinalTemporalInformationModified", CS, Paths(&[&[0x0028_0303]]), Scope::Patient, Level::Study),
    one("ClinicalTrialSponsorName", LO, Paths(&[&[0x0012_0010]]), Scope::Patient, Level::Study),
    one("ClinicalTrialProtocolID", LO, Paths(&[&[0x0012_0020]]), Scope::Patient, Level::Study),
    one("ClinicalTrialSiteID", LO, Paths(&[&[0x0012_0030]]), Scope::Patient, Level::Study),
    one("ClinicalTrialSubjectID", LO, Paths(&[&[0x0012_0040]]), Scope::Patient, Level::Study),
    one("OtherPatientIDsSequence", SQ, Items(&[0x0010_1002], &[("PatientID", LO, &[0x0010_0020]), ("IssuerOfPatientID", LO, &[0x0010_0021]), ("TypeOfPatientID", CS, &[0x0010_0022])]), Scope::Patient, Level::Study),
    // Study (PS3.3 C.7.2.1, C.7.2.2, C.7.2.3).
    one("StudyInstanceUID", UI, Paths(&[&[0x0020_000D]]), Scope::Study, Level::Study).indexed(),
    one("StudyDate", DA, Paths(&[&[0x0008_0020]]), Scope::Study, Level::Study).indexed(),
    one("StudyTime", TM, Paths(&[&[0x0008_0030]]), Scope::Study, Level::Study),
    one("StudyID", SH, Paths(&[&[0x0020_0010]]), Scope::Study, Level::Study),
    one("StudyDescription", LO, Paths(&[&[0x0008_1030]]), Scope::Study, Level::Study),
    one("AccessionNumber", SH, Paths(&[&[0x0008_0050]]), Scope::Study, Level::Study).indexed(),
    one("ReferringPhysicianName", PN, Paths(&[&[0x0008_0090]]), Scope::Study, Level::Study),
    many("NameOfPhysiciansReadingStudy", PN, Paths(&[&[0x0008_1060]]), Scope::Study, Level::Study),
    one("RequestedProcedureDescription", LO, Paths(&[&[0x0032_1060]]), Scope::Study, Level::Study),
    one("RequestingService", LO, Paths(&[&[0x0032_1033]]), Scope::Study, Level::Study),
    one("AdmissionID", LO, Paths(&[&[0x0038_0010]]), Scope::Study, Level::Study),
    many("AdmittingDiagnosesDescription", LO, Paths(&[&[0x0008_1080]]), Scope::Study, Level::Study),
    one("PregnancyStatus", US, Paths(&[&[0x0010_21C0]]), Scope::Study, Level::Study),
    one("ClinicalTrialTimePointID", LO, Paths(&[&[0x0012_0050]]), Scope::Study, Level::Study),
    one("IssuerOfAccessionNumber", UT, Paths(&[&[0x0008_0051, 0x0040_0031], &[0x0008_0051, 0x0040_0032]]), Scope::Study, Level::Study),
    one("ProcedureCodeMeaning", LO, Paths(&[&[0x0008_1032, 0x0008_0104]]), Scope::Study, Level::Study),
    one("ProcedureCodeSequence", SQ, Items(&[0x0008_1032], &[("CodeValue", SH, &[0x0008_0100]), ("CodingSchemeDesignator", SH, &[0x0008_0102]), ("CodeMeaning", LO, &[0x0008_0104])]), Scope::Study, Level::Study),
    // Series and equipment (PS3.3 C.7.3.1, C.7.4.1, C.7.5.1).
    one("SeriesInstanceUID", UI, Paths(&[&[0x0020_000E]]), Scope::Series, Level::Series).indexed(),
    one("Modality", CS, Paths(&[&[0x0008_0060]]), Scope::Series, Level::Series).indexed(),
    one("SeriesNumber", IS, Paths(&[&[0x0020_0011]]), Scope::Series, Level::Series),
    one("SeriesDescription", LO, Paths(&[&[0x0008_103E]]), Scope::Series, Level::Series),
    one("SeriesDate", DA, Paths(&[&[0x0008_0021]]), Scope::Series, Level::Series),
    one("SeriesTime", TM, Paths(&[&[0x0008_0031]]), Scope::Series, Level::Series),
    one("BodyPartExamined", CS, Paths(&[&[0x0018_0015]]), Scope::Series, Level::Series),
    one("Laterality", CS, Paths(&[&[0x0020_0060]]), Scope::Series, Level::Series),
    one("PatientPosition", CS, Paths(&[&[0x0018_5100]]), Scope::Series, Level::Series),
    one("ProtocolName", LO, Paths(&[&[0x0018_1030]]), Scope::Series, Level::Series),
    many("OperatorsName", PN, Paths(&[&[0x0008_1070]]), Scope::Series, Level::Series),
    many("PerformingPhysicianName", PN, Paths(&[&[0x0008_1050]]), Scope::Series, Level::Series),
    one("PerformedProcedureStepStartDate", DA, Paths(&[&[0x0040_0244]]), Scope::Series, Level::Series),
    one("PerformedProcedureStepStartTime", TM, Paths(&[&[0x0040_0245]]), Scope::Series, Level::Series),
    one("PerformedProcedureStepID", SH, Paths(&[&[0x0040_0253]]), Scope::Series, Level::Series),
    one("PerformedProcedureStepDescription", LO, Paths(&[&[0x0040_0254]]), Scope::Series, Level::Series),
    one("FrameOfReferenceUID", UI, Paths(&[&[0x0020_0052]]), Scope::Series, Level::Series),
    one("PositionReferenceIndicator", LO, Paths(&[&[0x0020_1040]]), Scope::Series, Level::Series),
    one("Manufacturer", LO, Paths(&[&[0x0008_0070]]), Scope::Series, Level::Series).indexed(),
    one("ManufacturerModelName", LO, Paths(&[&[0x0008_1090]]), Scope::Series, Level::Series),
    one("StationName", SH, Paths(&[&[0x0008_1010]]), Scope::Series, Level::Series),
    one("DeviceSerialNumber", LO, Paths(&[&[0x0018_1000]]), Scope::Series, Level::Series),
    many("SoftwareVersions", LO, Paths(&[&[0x0018_1020]]), Scope::Series, Level::Series),
    one("InstitutionName", LO, Paths(&[&[0x0008_0080]]), Scope::Series, Level::Series),
    one("InstitutionalDepartmentName", LO, Paths(&[&[0x0008_1040]]), Scope::Series, Level::Series),
    one("InstitutionAddress", ST, Paths(&[&[0x0008_0081]]), Scope::Series, Level::Series),
    many("DateOfLastCalibration", DA, Paths(&[&[0x0018_1200]]), Scope::Series, Level::Series),
    one("PresentationIntentType", CS, Paths(&[&[0x0008_0068]]), Scope::Series, Level::Series),
    one("ClinicalTrialSeriesID", LO, Paths(&[&[0x0012_0071]]), Scope::Series, Level::Series),
    one("TimezoneOffsetFromUTC", SH, Paths(&[&[0x0008_0201]]), Scope::Series, Level::Series),
    many("SpecificCharacterSet", CS, Paths(&[&[0x0008_0005]]), Scope::Series, Level::Series),
    one("ScheduledProcedureStepID", SH, Paths(&[&[0x0040_0275, 0x0040_0009]]), Scope::Series, Level::Series),
    one("RequestedProcedureID", SH, Paths(&[&[0x0040_0275, 0x0040_1001]]), Scope::Series, Level::Series),
    one("ScheduledProcedureStepDescription", LO, Paths(&[&[0x0040_0275, 0x0040_0007]]), Scope::Series, Level::Series),
    one("RequestAttributesSequence", SQ, Items(&[0x0040_0275], &[("ScheduledProcedureStepID", SH, &[0x0040_0009]), ("RequestedProcedureID", SH, &[0x0040_1001]), ("ScheduledProcedureStepDescription", LO, &[0x0040_0007])]), Scope::Series, Level::Series),
    // Identification of the instance; TransferSyntaxUID stands in the file meta group (PS3.10 7.1).
    one("SOPInstanceUID", UI, Paths(&[&[0x0008_0018], &[0x0002_0003]]), Scope::Instance, Level::File).indexed(),
    one("TransferSyntaxUID", UI, Paths(&[&[0x0002_0010]]), Scope::Instance, Level::Stack),
    // Instance (PS3.3 C.12.1, C.7.6).
    one("SOPClassUID", UI, Paths(&[&[0x0008_0016]]), Scope::Instance, Level::Stack),
    one("InstanceNumber", IS, Paths(&[&[0x0020_0013]]), Scope::Instance, Level::File),
    many("ImageType", CS, Paths(&[&[0x0008_0008]]), Scope::Instance, Level::Stack),
    many("FrameType", CS, Paths(&[&[0x0008_9007]]), Scope::Instance, Level::Stack),
    one("AcquisitionNumber", IS, Paths(&[&[0x0020_0012]]), Scope::Instance, Level::File),
    one("AcquisitionDate", DA, Paths(&[&[0x0008_0022]]), Scope::Instance, Level::Stack),
    one("AcquisitionTime", TM, Paths(&[&[0x0008_0032]]), Scope::Instance, Level::File),
    one("AcquisitionDateTime", DT, Paths(&[&[0x0008_002A]]), Scope::Instance, Level::File),
    one("ContentDate", DA, Paths(&[&[0x0008_0023]]), Scope::Instance, Level::Stack),
    one("ContentTime", TM, Paths(&[&[0x0008_0033]]), Scope::Instance, Level::File),
    one("InstanceCreationDate", DA, Paths(&[&[0x0008_0012]]), Scope::Instance, Level::Stack),
    one("InstanceCreationTime", TM, Paths(&[&[0x0008_0013]]), Scope::Instance, Level::File),
    one("Rows", US, Paths(&[&[0x0028_0010]]), Scope::Instance, Level::Stack),
    one("Columns", US, Paths(&[&[0x0028_0011]]), Scope::Instance, Level::Stack),
    one("SamplesPerPixel", US, Paths(&[&[0x0028_0002]]), Scope::Instance, Level::Stack),
    one("PhotometricInterpretation", CS, Paths(&[&[0x0028_0004]]), Scope::Instance, Level::Stack),
    one("BitsAllocated", US, Paths(&[&[0x0028_0100]]), Scope::Instance, Level::Stack),
    one("BitsStored", US, Paths(&[&[0x0028_0101]]), Scope::Instance, Level::Stack),
    one("PixelRepresentation", US, Paths(&[&[0x0028_0103]]), Scope::Instance, Level::Stack),
    one("NumberOfFrames", IS, Paths(&[&[0x0028_0008]]), Scope::Instance, Level::File),
    many("PixelSpacing", DS, Paths(&[&[0x0028_0030]]), Scope::Instance, Level::Stack),
    one("SliceThickness", DS, Paths(&[&[0x0018_0050]]), Scope::Instance, Level::Stack),
    one("SpacingBetweenSlices", DS, Paths(&[&[0x0018_0088]]), Scope::Instance, Level::Stack),
    one("SliceLocation", DS, Paths(&[&[0x0020_1041]]), Scope::Instance, Level::File),
    many("ImagePositionPatient", DS, Paths(&[&[0x0020_0032]]), Scope::Instance, Level::File),
    many("ImageOrientationPatient", DS, Paths(&[&[0x0020_0037]]), Scope::Instance, Level::Stack),
    one("RescaleSlope", DS, Paths(&[&[0x0028_1053]]), Scope::Instance, Level::File),
    one("RescaleIntercept", DS, Paths(&[&[0x0028_1052]]), Scope::Instance, Level::File),
    one("RescaleType", LO, Paths(&[&[0x0028_1054]]), Scope::Instance, Level::Stack),
    many("WindowCenter", DS, Paths(&[&[0x0028_1050]]), Scope::Instance, Level::File),
    many("WindowWidth", DS, Paths(&[&[0x0028_1051]]), Scope::Instance, Level::File),
    one("BurnedInAnnotation", CS, Paths(&[&[0x0028_0301]]), Scope::Instance, Level::Stack),
    one("RecognizableVisualFeatures", CS, Paths(&[&[0x0028_0302]]), Scope::Instance, Level::Stack),
    one("LossyImageCompression", CS, Paths(&[&[0x0028_2110]]), Scope::Instance, Level::Stack),
    many("LossyImageCompressionRatio", DS, Paths(&[&[0x0028_2112]]), Scope::Instance, Level::File),
    many("LossyImageCompressionMethod", CS, Paths(&[&[0x0028_2114]]), Scope::Instance, Level::Stack),
    one("TriggerTime", DS, Paths(&[&[0x0018_1060]]), Scope::Instance, Level::File),
    one("TemporalPositionIdentifier", IS, Paths(&[&[0x0020_0100]]), Scope::Instance, Level::File),
    one("ImageComments", LT, Paths(&[&[0x0020_4000]]), Scope::Instance, Level::File),
    one("DerivationDescription", ST, Paths(&[&[0x0008_2111]]), Scope::Instance, Level::File),
    one("AnatomicRegionCodeMeaning", LO, Paths(&[&[0x0008_2218, 0x0008_0104]]), Scope::Instance, Level::Stack),
    // CT (PS3.3 C.8.2.1).
    one("KVP", DS, Paths(&[&[0x0018_0060]]), Scope::Instance, Level::Stack),
    one("XRayTubeCurrent", IS, Paths(&[&[0x0018_1151]]), Scope::Instance, Level::File),
    one("Exposure", IS, Paths(&[&[0x0018_1152]]), Scope::Instance, Level::File),
    one("ExposureTime", IS, Paths(&[&[0x0018_1150]]), Scope::Instance, Level::File),
    one("CTDIvol", FD, Paths(&[&[0x0018_9345]]), Scope::Instance, Level::File),
    one("ReconstructionDiameter", DS, Paths(&[&[0x0018_1100]]), Scope::Instance, Level::Stack),
    one("DataCollectionDiameter", DS, Paths(&[&[0x0018_0090]]), Scope::Instance, Level::Stack),
    one("GantryDetectorTilt", DS, Paths(&[&[0x0018_1120]]), Scope::Instance, Level::Stack),
    one("TableHeight", DS, Paths(&[&[0x0018_1130]]), Scope::Instance, Level::Stack),
    many("ScanOptions", CS, Paths(&[&[0x0018_0022]]), Scope::Instance, Level::Stack),
    one("FilterType", SH, Paths(&[&[0x0018_1160]]), Scope::Instance, Level::Stack),
    many("FocalSpots", DS, Paths(&[&[0x0018_1190]]), Scope::Instance, Level::Stack),
    many("ConvolutionKernel", SH, Paths(&[&[0x0018_1210]]), Scope::Instance, Level::Stack),
    one("SpiralPitchFactor", FD, Paths(&[&[0x0018_9311]]), Scope::Instance, Level::Stack),
    one("SingleCollimationWidth", FD, Paths(&[&[0x0018_9306]]), Scope::Instance, Level::Stack),
    one("TotalCollimationWidth", FD, Paths(&[&[0x0018_9307]]), Scope::Instance, Level::Stack),
    one("TableSpeed", FD, Paths(&[&[0x0018_9309]]), Scope::Instance, Level::Stack),
    one("TableFeedPerRotation", FD, Paths(&[&[0x0018_9310]]), Scope::Instance, Level::Stack),
    one("RevolutionTime", FD, Paths(&[&[0x0018_9305]]), Scope::Instance, Level::Stack),
    many("ExposureModulationType", CS, Paths(&[&[0x0018_9323]]), Scope::Instance, Level::Stack),
    one("AcquisitionType", CS, Paths(&[&[0x0018_9302]]), Scope::Instance, Level::Stack),
    one("ContrastBolusAgent", LO, Paths(&[&[0x0018_0010]]), Scope::Instance, Level::Stack),
    one("ContrastBolusRoute", LO, Paths(&[&[0x0018_1040]]), Scope::Instance, Level::Stack),
    one("ContrastBolusVolume", DS, Paths(&[&[0x0018_1041]]), Scope::Instance, Level::Stack),
    // MR (PS3.3 C.8.3.1, C.8.13).
    one("MagneticFieldStrength", DS, Paths(&[&[0x0018_0087]]), Scope::Instance, Level::Stack),
    many("ScanningSequence", CS, Paths(&[&[0x0018_0020]]), Scope::Instance, Level::Stack),
    many("SequenceVariant", CS, Paths(&[&[0x0018_0021]]), Scope::Instance, Level::Stack),
    one("SequenceName", SH, Paths(&[&[0x0018_0024]]), Scope::Instance, Level::Stack),
    one("PulseSequenceName", SH, Paths(&[&[0x0018_9005]]), Scope::Instance, Level::Stack),
    one("MRAcquisitionType", CS, Paths(&[&[0x0018_0023]]), Scope::Instance, Level::Stack),
    one("RepetitionTime", DS, Paths(&[&[0x0018_0080]]), Scope::Instance, Level::Stack),
    one("EchoTime", DS, Paths(&[&[0x0018_0081]]), Scope::Instance, Level::Stack),
    one("EffectiveEchoTime", FD, Paths(&[&[0x0018_9082]]), Scope::Instance, Level::Stack),
    one("InversionTime", DS, Paths(&[&[0x0018_0082]]), Scope::Instance, Level::Stack),
    one("EchoTrainLength", IS, Paths(&[&[0x0018_0091]]), Scope::Instance, Level::Stack),
    many("EchoNumbers", IS, Paths(&[&[0x0018_0086]]), Scope::Instance, Level::Stack),
    one("FlipAngle", DS, Paths(&[&[0x0018_1314]]), Scope::Instance, Level::Stack),
    one("NumberOfAverages", DS, Paths(&[&[0x0018_0083]]), Scope::Instance, Level::Stack),
    one("ImagingFrequency", DS, Paths(&[&[0x0018_0084]]), Scope::Instance, Level::Stack),
    one("ImagedNucleus", SH, Paths(&[&[0x0018_0085]]), Scope::Instance, Level::Stack),
    one("PixelBandwidth", DS, Paths(&[&[0x0018_0095]]), Scope::Instance, Level::Stack),
    many("AcquisitionMatrix", US, Paths(&[&[0x0018_1310]]), Scope::Instance, Level::Stack),
    one("InPlanePhaseEncodingDirection", CS, Paths(&[&[0x0018_1312]]), Scope::Instance, Level::Stack),
    one("PercentSampling", DS, Paths(&[&[0x0018_0093]]), Scope::Instance, Level::Stack),
    one("ReceiveCoilName", SH, Paths(&[&[0x0018_1250]]), Scope::Instance, Level::Stack),
    one("TransmitCoilName", SH, Paths(&[&[0x0018_1251]]), Scope::Instance, Level::Stack),
    one("SAR", DS, Paths(&[&[0x0018_1316]]), Scope::Instance, Level::Stack),
    one("DiffusionBValue", FD, Paths(&[&[0x0018_9087]]), Scope::Instance, Level::Stack),
    many("DiffusionGradientOrientation", FD, Paths(&[&[0x0018_9089]]), Scope::Instance, Level::Stack),
    one("ComplexImageComponent", CS, Paths(&[&[0x0008_9208]]), Scope::Instance, Level::Stack),
    one("AcquisitionContrast", CS, Paths(&[&[0x0008_9209]]), Scope::Instance, Level::Stack),
    one("ParallelReductionFactorInPlane", FD, Paths(&[&[0x0018_9069]]), Scope::Instance, Level::Stack),
    one("NumberOfTemporalPositions", IS, Paths(&[&[0x0020_0105]]), Scope::Instance, Level::Stack),
    one("TemporalResolution", DS, Paths(&[&[0x0020_0110]]), Scope::Instance, Level::Stack),
    // PET and NM (PS3.3 C.8.4, C.8.9, C.8.22).
    derived("Radiopharmaceutical", LO, Derivation::Radiopharmaceutical).indexed(),
    derived("Radionuclide", SH, Derivation::Radionuclide),
    derived("RadionuclideTotalDoseBq", DS, Derivation::RadionuclideTotalDoseBq),
    one("RadionuclideTotalDose", DS, Paths(&[&[0x0054_0016, 0x0018_1074]]), Scope::Series, Level::Series),
    one("RadionuclideHalfLife", DS, Paths(&[&[0x0054_0016, 0x0018_1075]]), Scope::Series, Level::Series),
    one("RadionuclidePositronFraction", DS, Paths(&[&[0x0054_0016, 0x0018_1076]]), Scope::Series, Level::Series),
    one("RadiopharmaceuticalStartTime", TM, Paths(&[&[0x0054_0016, 0x0018_1072]]), Scope::Series, Level::Series),
    one("RadiopharmaceuticalStartDateTime", DT, Paths(&[&[0x0054_0016, 0x0018_1078]]), Scope::Series, Level::Series),
    one("RadiopharmaceuticalStopTime", TM, Paths(&[&[0x0054_0016, 0x0018_1073]]), Scope::Series, Level::Series),
    one("RadiopharmaceuticalStopDateTime", DT, Paths(&[&[0x0054_0016, 0x0018_1079]]), Scope::Series, Level::Series),
    one("RadiopharmaceuticalVolume", DS, Paths(&[&[0x0054_0016, 0x0018_1071]]), Scope::Series, Level::Series),
    one("RadiopharmaceuticalSpecificActivity", DS, Paths(&[&[0x0054_0016, 0x0018_1077]]), Scope::Series, Level::Series),
    one("RadiopharmaceuticalRoute", LO, Paths(&[&[0x0054_0016, 0x0018_1070]]), Scope::Series, Level::Series),
    one("RadiopharmaceuticalAdministrationEventUID", UI, Paths(&[&[0x0054_0016, 0x0008_3012]]), Scope::Series, Level::Series),
    one("RadiopharmaceuticalCodeValue", SH, Paths(&[&[0x0054_0016, 0x0054_0304, 0x0008_0100]]), Scope::Series, Level::Series),
    one("RadiopharmaceuticalCodingSchemeDesignator", SH, Paths(&[&[0x0054_0016, 0x0054_0304, 0x0008_0102]]), Scope::Series, Level::Series),
    one("RadiopharmaceuticalCodeMeaning", LO, Paths(&[&[0x0054_0016, 0x0054_0304, 0x0008_0104]]), Scope::Series, Level::Series),
    one("RadionuclideCodeValue", SH, Paths(&[&[0x0054_0016, 0x0054_0300, 0x0008_0100]]), Scope::Series, Level::Series),
    one("RadionuclideCodingSchemeDesignator", SH, Paths(&[&[0x0054_0016, 0x0054_0300, 0x0008_0102]]), Scope::Series, Level::Series),
    one("RadionuclideCodeMeaning", LO, Paths(&[&[0x0054_0016, 0x0054_0300, 0x0008_0104]]), Scope::Series, Level::Series),
    one("AdministrationRouteCodeMeaning", LO, Paths(&[&[0x0054_0016, 0x0054_0302, 0x0008_0104]]), Scope::Series, Level::Series),
    one("RadiopharmaceuticalInformationSequence", SQ, Items(&[0x0054_0016], &[("Radiopharmaceutical", LO, &[0x0018_0031]), ("RadionuclideTotalDose", DS, &[0x0018_1074]), ("RadionuclideHalfLife", DS, &[0x0018_1075]), ("RadionuclidePositronFraction", DS, &[0x0018_1076]), ("RadiopharmaceuticalStartTime", TM, &[0x0018_1072]), ("RadiopharmaceuticalStartDateTime", DT, &[0x0018_1078]), ("RadiopharmaceuticalStopTime", TM, &[0x0018_1073]), ("RadiopharmaceuticalStopDateTime", DT, &[0x0018_1079]), ("RadiopharmaceuticalVolume", DS, &[0x0018_1071]), ("RadiopharmaceuticalSpecificActivity", DS, &[0x0018_1077]), ("RadiopharmaceuticalRoute", LO, &[0x0018_1070]), ("RadiopharmaceuticalAdministrationEventUID", UI, &[0x0008_3012]), ("RadiopharmaceuticalCodeValue", SH, &[0x0054_0304, 0x0008_0100]), ("RadiopharmaceuticalCodingSchemeDesignator", SH, &[0x0054_0304, 0x0008_0102]), ("RadiopharmaceuticalCodeMeaning", LO, &[0x0054_0304, 0x0008_0104]), ("RadionuclideCodeValue", SH, &[0x0054_0300, 0x0008_0100]), ("RadionuclideCodingSchemeDesignator", SH, &[0x0054_0300, 0x0008_0102]), ("RadionuclideCodeMeaning", LO, &[0x0054_0300, 0x0008_0104]), ("AdministrationRouteCodeMeaning", LO, &[0x0054_0302, 0x0008_0104])]), Scope::Series, Level::Series),
    one("Units", CS, Paths(&[&[0x0054_1001]]), Scope::Series, Level::Series),
    one("CountsSource", CS, Paths(&[&[0x0054_1002]]), Scope::Series, Level::Series),
    many("SeriesType", CS, Paths(&[&[0x0054_1000]]), Scope::Series, Level::Series),
    one("SUVType", CS, Paths(&[&[0x0054_1006]]), Scope::Series, Level::Series),
    one("DecayCorrection", CS, Paths(&[&[0x0054_1102]]), Scope::Series, Level::Series),
    many("CorrectedImage", CS, Paths(&[&[0x0028_0051]]), Scope::Series, Level::Series),
    one("RandomsCorrectionMethod", CS, Paths(&[&[0x0054_1100]]), Scope::Series, Level::Series),
    one("AttenuationCorrectionMethod", LO, Paths(&[&[0x0054_1101]]), Scope::Series, Level::Series),
    one("ScatterCorrectionMethod", LO, Paths(&[&[0x0054_1105]]), Scope::Series, Level::Series),
    one("ReconstructionMethod", LO, Paths(&[&[0x0054_1103]]), Scope::Series, Level::Series),
    one("CollimatorType", CS, Paths(&[&[0x0018_1181]]), Scope::Series, Level::Series),
    one("NumberOfSlices", US, Paths(&[&[0x0054_0081]]), Scope::Series, Level::Series),
    one("NumberOfTimeSlices", US, Paths(&[&[0x0054_0101]]), Scope::Series, Level::Series),
    one("NumberOfTimeSlots", US, Paths(&[&[0x0054_0071]]), Scope::Series, Level::Series),
    one("FrameReferenceTime", DS, Paths(&[&[0x0054_1300]]), Scope::Instance, Level::File),
    one("ActualFrameDuration", IS, Paths(&[&[0x0018_1242]]), Scope::Instance, Level::File),
    one("DecayFactor", DS, Paths(&[&[0x0054_1321]]), Scope::Instance, Level::File),
    one("DoseCalibrationFactor", DS, Paths(&[&[0x0054_1322]]), Scope::Instance, Level::File),
    one("ScatterFractionFactor", DS, Paths(&[&[0x0054_1323]]), Scope::Instance, Level::File),
    one("DeadTimeFactor", DS, Paths(&[&[0x0054_1324]]), Scope::Instance, Level::File),
    one("ImageIndex", US, Paths(&[&[0x0054_1330]]), Scope::Instance, Level::File),
    // US (PS3.3 C.8.5, C.7.6.5).
    one("TransducerType", CS, Paths(&[&[0x0018_6031]]), Scope::Instance, Level::Stack),
    one("FrameTime", DS, Paths(&[&[0x0018_1063]]), Scope::Instance, Level::Stack),
    one("CineRate", IS, Paths(&[&[0x0018_0040]]), Scope::Instance, Level::Stack),
    one("RecommendedDisplayFrameRate", IS, Paths(&[&[0x0008_2144]]), Scope::Instance, Level::Stack),
    one("HeartRate", IS, Paths(&[&[0x0018_1088]]), Scope::Instance, Level::File),
    one("StageName", SH, Paths(&[&[0x0008_2120]]), Scope::Instance, Level::Stack),
    one("ViewName", SH, Paths(&[&[0x0008_2127]]), Scope::Instance, Level::Stack),
    one("MechanicalIndex", DS, Paths(&[&[0x0018_5022]]), Scope::Instance, Level::Stack),
    one("PhysicalDeltaX", FD, Paths(&[&[0x0018_6011, 0x0018_602C]]), Scope::Instance, Level::Stack),
    one("PhysicalUnitsXDirection", US, Paths(&[&[0x0018_6011, 0x0018_6024]]), Scope::Instance, Level::Stack),
    // MG, DX, CR, XA (PS3.3 C.8.1, C.8.7, C.8.11).
    one("ViewPosition", CS, Paths(&[&[0x0018_5101]]), Scope::Instance, Level::Stack),
    one("ImageLaterality", CS, Paths(&[&[0x0020_0062]]), Scope::Instance, Level::Stack),
    one("PartialView", CS, Paths(&[&[0x0028_1350]]), Scope::Instance, Level::Stack),
    one("BreastImplantPresent", CS, Paths(&[&[0x0028_1300]]), Scope::Instance, Level::Stack),
    one("CompressionForce", DS, Paths(&[&[0x0018_11A2]]), Scope::Instance, Level::Stack),
    one("BodyPartThickness", DS, Paths(&[&[0x0018_11A0]]), Scope::Instance, Level::Stack),
    one("OrganDose", DS, Paths(&[&[0x0040_0316]]), Scope::Instance, Level::Stack),
    one("EntranceDoseInmGy", DS, Paths(&[&[0x0040_8302]]), Scope::Instance, Level::Stack),
    one("AnodeTargetMaterial", CS, Paths(&[&[0x0018_1191]]), Scope::Instance, Level::Stack),
    many("FilterMaterial", CS, Paths(&[&[0x0018_7050]]), Scope::Instance, Level::Stack),
    one("DetectorType", CS, Paths(&[&[0x0018_7004]]), Scope::Instance, Level::Stack),
    one("DetectorID", SH, Paths(&[&[0x0018_700A]]), Scope::Instance, Level::Stack),
    many("ImagerPixelSpacing", DS, Paths(&[&[0x0018_1164]]), Scope::Instance, Level::Stack),
    one("ExposureIndex", DS, Paths(&[&[0x0018_1411]]), Scope::Instance, Level::Stack),
    one("DeviationIndex", DS, Paths(&[&[0x0018_1413]]), Scope::Instance, Level::Stack),
    one("DistanceSourceToDetector", DS, Paths(&[&[0x0018_1110]]), Scope::Instance, Level::Stack),
    one("DistanceSourceToPatient", DS, Paths(&[&[0x0018_1111]]), Scope::Instance, Level::Stack),
    one("ImageAndFluoroscopyAreaDoseProduct", DS, Paths(&[&[0x0018_115E]]), Scope::Instance, Level::Stack),
    one("PositionerPrimaryAngle", DS, Paths(&[&[0x0018_1510]]), Scope::Instance, Level::Stack),
    one("PositionerSecondaryAngle", DS, Paths(&[&[0x0018_1511]]), Scope::Instance, Level::Stack),
    many("Grid", CS, Paths(&[&[0x0018_1166]]), Scope::Instance, Level::Stack),
    one("VolumetricProperties", CS, Paths(&[&[0x0008_9206]]), Scope::Instance, Level::Stack),
    one("ViewCodeMeaning", LO, Paths(&[&[0x0054_0220, 0x0008_0104]]), Scope::Instance, Level::Stack),
    one("ViewModifierCodeMeaning", LO, Paths(&[&[0x0054_0220, 0x0054_0222, 0x0008_0104]]), Scope::Instance, Level::Stack),
    // RT (PS3.3 C.8.8).
    one("StructureSetLabel", SH, Paths(&[&[0x3006_0002]]), Scope::Instance, Level::Stack),
    one("StructureSetDate", DA, Paths(&[&[0x3006_0008]]), Scope::Instance, Level::Stack),
    one("ApprovalStatus", CS, Paths(&[&[0x300E_0002]]), Scope::Instance, Level::Stack),
    one("RTPlanLabel", SH, Paths(&[&[0x300A_0002]]), Scope::Instance, Level::Stack),
    one("RTPlanDate", DA, Paths(&[&[0x300A_0006]]), Scope::Instance, Level::Stack),
    one("PlanIntent", CS, Paths(&[&[0x300A_000A]]), Scope::Instance, Level::Stack),
    one("RTPlanGeometry", CS, Paths(&[&[0x300A_000C]]), Scope::Instance, Level::Stack),
    one("DoseUnits", CS, Paths(&[&[0x3004_0002]]), Scope::Instance, Level::Stack),
    one("DoseType", CS, Paths(&[&[0x3004_0004]]), Scope::Instance, Level::Stack),
    one("DoseSummationType", CS, Paths(&[&[0x3004_000A]]), Scope::Instance, Level::Stack),
    one("DoseGridScaling", DS, Paths(&[&[0x3004_000E]]), Scope::Instance, Level::Stack),
    one("NumberOfFractionsPlanned", IS, Paths(&[&[0x300A_0070, 0x300A_0078]]), Scope::Instance, Level::Stack),
    one("NumberOfBeams", IS, Paths(&[&[0x300A_0070, 0x300A_0080]]), Scope::Instance, Level::Stack),
    one("TreatmentMachineName", SH, Paths(&[&[0x300A_00B0, 0x300A_00B2]]), Scope::Instance, Level::Stack),
    one("RadiationType", CS, Paths(&[&[0x300A_00B0, 0x300A_00C6]]), Scope::Instance, Level::Stack),
    // SEG, SR, documents (PS3.3 C.8.20, C.17, C.24).
    one("SegmentationType", CS, Paths(&[&[0x0062_0001]]), Scope::Instance, Level::Stack),
    one("ContentLabel", CS, Paths(&[&[0x0070_0080]]), Scope::Instance, Level::Stack),
    one("ContentDescription", LO, Paths(&[&[0x0070_0081]]), Scope::Instance, Level::Stack),
    one("ContentCreatorName", PN, Paths(&[&[0x0070_0084]]), Scope::Instance, Level::Stack),
    one("CompletionFlag", CS, Paths(&[&[0x0040_A491]]), Scope::Instance, Level::Stack),
    one("VerificationFlag", CS, Paths(&[&[0x0040_A493]]), Scope::Instance, Level::Stack),
    one("DocumentTitle", ST, Paths(&[&[0x0042_0010]]), Scope::Instance, Level::Stack),
    one("MIMETypeOfEncapsulatedDocument", LO, Paths(&[&[0x0042_0012]]), Scope::Instance, Level::Stack),
    one("ConceptNameCodeMeaning", LO, Paths(&[&[0x0040_A043, 0x0008_0104]]), Scope::Instance, Level::Stack),
    one("TemplateIdentifier", CS, Paths(&[&[0x0040_A504, 0x0040_DB00]]), Scope::Instance, Level::Stack),
    // Whole slide imaging and multi-frame (PS3.3 C.8.12, C.7.6.16, C.7.6.17).
    one("TotalPixelMatrixColumns", UL, Paths(&[&[0x0048_0006]]), Scope::Instance, Level::Stack),
    one("TotalPixelMatrixRows", UL, Paths(&[&[0x0048_0007]]), Scope::Instance, Level::Stack),
    one("ImagedVolumeWidth", FL, Paths(&[&[0x0048_0001]]), Scope::Instance, Level::Stack),
    one("ImagedVolumeHeight", FL, Paths(&[&[0x0048_0002]]), Scope::Instance, Level::Stack),
    one("ContainerIdentifier", LO, Paths(&[&[0x0040_0512]]), Scope::Instance, Level::Stack),
    one("NumberOfOpticalPaths", UL, Paths(&[&[0x0048_0302]]), Scope::Instance, Level::Stack),
    one("DimensionOrganizationType", CS, Paths(&[&[0x0020_9311]]), Scope::Instance, Level::Stack),
    one("ConcatenationUID", UI, Paths(&[&[0x0020_9161]]), Scope::Instance, Level::Stack),
    one("InConcatenationNumber", US, Paths(&[&[0x0020_9162]]), Scope::Instance, Level::File),
    one("PyramidUID", UI, Paths(&[&[0x0008_0019]]), Scope::Instance, Level::Stack),
    one("SpecimenLabelInImage", CS, Paths(&[&[0x0048_0010]]), Scope::Instance, Level::Stack),
    one("SpecimenIdentifier", LO, Paths(&[&[0x0040_0560, 0x0040_0551]]), Scope::Instance, Level::Stack),
    one("SpecimenUID", UI, Paths(&[&[0x0040_0560, 0x0040_0554]]), Scope::Instance, Level::Stack),
    one("ObjectiveLensPower", DS, Paths(&[&[0x0048_0105, 0x0048_0112]]), Scope::Instance, Level::Stack),
    // Enhanced multi-frame: shared, then first per-frame functional group (PS3.3 C.7.6.16); views fall back
    // to these where the top-level attribute is NULL.
    many("ResolvedPixelSpacing", DS, Paths(&[&[0x5200_9229, 0x0028_9110, 0x0028_0030], &[0x5200_9230, 0x0028_9110, 0x0028_0030]]), Scope::Instance, Level::Stack).resolving("PixelSpacing"),
    one("ResolvedSliceThickness", DS, Paths(&[&[0x5200_9229, 0x0028_9110, 0x0018_0050], &[0x5200_9230, 0x0028_9110, 0x0018_0050]]), Scope::Instance, Level::Stack).resolving("SliceThickness"),
    one("ResolvedSpacingBetweenSlices", DS, Paths(&[&[0x5200_9229, 0x0028_9110, 0x0018_0088], &[0x5200_9230, 0x0028_9110, 0x0018_0088]]), Scope::Instance, Level::Stack).resolving("SpacingBetweenSlices"),
    many("ResolvedImagePositionPatient", DS, Paths(&[&[0x5200_9229, 0x0020_9113, 0x0020_0032], &[0x5200_9230, 0x0020_9113, 0x0020_0032]]), Scope::Instance, Level::Stack).resolving("ImagePositionPatient"),
    many("ResolvedImageOrientationPatient", DS, Paths(&[&[0x5200_9229, 0x0020_9116, 0x0020_0037], &[0x5200_9230, 0x0020_9116, 0x0020_0037]]), Scope::Instance, Level::Stack).resolving("ImageOrientationPatient"),
    one("ResolvedRescaleSlope", DS, Paths(&[&[0x5200_9229, 0x0028_9145, 0x0028_1053], &[0x5200_9230, 0x0028_9145, 0x0028_1053]]), Scope::Instance, Level::Stack).resolving("RescaleSlope"),
    one("ResolvedRescaleIntercept", DS, Paths(&[&[0x5200_9229, 0x0028_9145, 0x0028_1052], &[0x5200_9230, 0x0028_9145, 0x0028_1052]]), Scope::Instance, Level::Stack).resolving("RescaleIntercept"),
    one("ResolvedRescaleType", LO, Paths(&[&[0x5200_9229, 0x0028_9145, 0x0028_1054], &[0x5200_9230, 0x0028_9145, 0x0028_1054]]), Scope::Instance, Level::Stack).resolving("RescaleType"),
    one("ResolvedRepetitionTime", DS, Paths(&[&[0x5200_9229, 0x0018_9112, 0x0018_0080], &[0x5200_9230, 0x0018_9112, 0x0018_0080]]), Scope::Instance, Level::Stack).resolving("RepetitionTime"),
    one("ResolvedFlipAngle", DS, Paths(&[&[0x5200_9229, 0x0018_9112, 0x0018_1314], &[0x5200_9230, 0x0018_9112, 0x0018_1314]]), Scope::Instance, Level::Stack).resolving("FlipAngle"),
    one("ResolvedEchoTrainLength", IS, Paths(&[&[0x5200_9229, 0x0018_9112, 0x0018_0091], &[0x5200_9230, 0x0018_9112, 0x0018_0091]]), Scope::Instance, Level::Stack).resolving("EchoTrainLength"),
    one("ResolvedEffectiveEchoTime", FD, Paths(&[&[0x5200_9229, 0x0018_9114, 0x0018_9082], &[0x5200_9230, 0x0018_9114, 0x0018_9082]]), Scope::Instance, Level::Stack).resolving("EffectiveEchoTime"),
    one("ResolvedPixelBandwidth", DS, Paths(&[&[0x5200_9229, 0x0018_9006, 0x0018_0095], &[0x5200_9230, 0x0018_9006, 0x0018_0095]]), Scope::Instance, Level::Stack).resolving("PixelBandwidth"),
    one("ResolvedReceiveCoilName", SH, Paths(&[&[0x5200_9229, 0x0018_9042, 0x0018_1250], &[0x5200_9230, 0x0018_9042, 0x0018_1250]]), Scope::Instance, Level::Stack).resolving("ReceiveCoilName"),
    one("ResolvedDiffusionBValue", FD, Paths(&[&[0x5200_9229, 0x0018_9117, 0x0018_9087], &[0x5200_9230, 0x0018_9117, 0x0018_9087]]), Scope::Instance, Level::Stack).resolving("DiffusionBValue"),
    one("ResolvedKVP", DS, Paths(&[&[0x5200_9229, 0x0018_9325, 0x0018_0060], &[0x5200_9230, 0x0018_9325, 0x0018_0060]]), Scope::Instance, Level::Stack).resolving("KVP"),
    one("ResolvedFilterType", SH, Paths(&[&[0x5200_9229, 0x0018_9325, 0x0018_1160], &[0x5200_9230, 0x0018_9325, 0x0018_1160]]), Scope::Instance, Level::Stack).resolving("FilterType"),
    many("ResolvedFocalSpots", DS, Paths(&[&[0x5200_9229, 0x0018_9325, 0x0018_1190], &[0x5200_9230, 0x0018_9325, 0x0018_1190]]), Scope::Instance, Level::Stack).resolving("FocalSpots"),
    one("ResolvedCTDIvol", FD, Paths(&[&[0x5200_9229, 0x0018_9321, 0x0018_9345], &[0x5200_9230, 0x0018_9321, 0x0018_9345]]), Scope::Instance, Level::Stack).resolving("CTDIvol"),
    many("ResolvedExposureModulationType", CS, Paths(&[&[0x5200_9229, 0x0018_9321, 0x0018_9323], &[0x5200_9230, 0x0018_9321, 0x0018_9323]]), Scope::Instance, Level::Stack).resolving("ExposureModulationType"),
    many("ResolvedConvolutionKernel", SH, Paths(&[&[0x5200_9229, 0x0018_9314, 0x0018_1210], &[0x5200_9230, 0x0018_9314, 0x0018_1210]]), Scope::Instance, Level::Stack).resolving("ConvolutionKernel"),
    one("ResolvedReconstructionDiameter", DS, Paths(&[&[0x5200_9229, 0x0018_9314, 0x0018_1100], &[0x5200_9230, 0x0018_9314, 0x0018_1100]]), Scope::Instance, Level::Stack).resolving("ReconstructionDiameter"),
    one("ResolvedAcquisitionType", CS, Paths(&[&[0x5200_9229, 0x0018_9301, 0x0018_9302], &[0x5200_9230, 0x0018_9301, 0x0018_9302]]), Scope::Instance, Level::Stack).resolving("AcquisitionType"),
    one("ResolvedGantryDetectorTilt", DS, Paths(&[&[0x5200_9229, 0x0018_9304, 0x0018_1120], &[0x5200_9230, 0x0018_9304, 0x0018_1120]]), Scope::Instance, Level::Stack).resolving("GantryDetectorTilt"),
    one("ResolvedTableHeight", DS, Paths(&[&[0x5200_9229, 0x0018_9304, 0x0018_1130], &[0x5200_9230, 0x0018_9304, 0x0018_1130]]), Scope::Instance, Level::Stack).resolving("TableHeight"),
    one("ResolvedDataCollectionDiameter", DS, Paths(&[&[0x5200_9229, 0x0018_9304, 0x0018_0090], &[0x5200_9230, 0x0018_9304, 0x0018_0090]]), Scope::Instance, Level::Stack).resolving("DataCollectionDiameter"),
    one("ResolvedRevolutionTime", FD, Paths(&[&[0x5200_9229, 0x0018_9304, 0x0018_9305], &[0x5200_9230, 0x0018_9304, 0x0018_9305]]), Scope::Instance, Level::Stack).resolving("RevolutionTime"),
    one("ResolvedSingleCollimationWidth", FD, Paths(&[&[0x5200_9229, 0x0018_9304, 0x0018_9306], &[0x5200_9230, 0x0018_9304, 0x0018_9306]]), Scope::Instance, Level::Stack).resolving("SingleCollimationWidth"),
    one("ResolvedTotalCollimationWidth", FD, Paths(&[&[0x5200_9229, 0x0018_9304, 0x0018_9307], &[0x5200_9230, 0x0018_9304, 0x0018_9307]]), Scope::Instance, Level::Stack).resolving("TotalCollimationWidth"),
    one("ResolvedTableSpeed", FD, Paths(&[&[0x5200_9229, 0x0018_9308, 0x0018_9309], &[0x5200_9230, 0x0018_9308, 0x0018_9309]]), Scope::Instance, Level::Stack).resolving("TableSpeed"),
    one("ResolvedTableFeedPerRotation", FD, Paths(&[&[0x5200_9229, 0x0018_9308, 0x0018_9310], &[0x5200_9230, 0x0018_9308, 0x0018_9310]]), Scope::Instance, Level::Stack).resolving("TableFeedPerRotation"),
    one("ResolvedSpiralPitchFactor", FD, Paths(&[&[0x5200_9229, 0x0018_9308, 0x0018_9311], &[0x5200_9230, 0x0018_9308, 0x0018_9311]]), Scope::Instance, Level::Stack).resolving("SpiralPitchFactor"),
    one("ResolvedEchoTime", DS, Paths(&[&[0x5200_9229, 0x0018_9114, 0x0018_9082], &[0x5200_9230, 0x0018_9114, 0x0018_9082]]), Scope::Instance, Level::Stack).resolving("EchoTime"),
    one("ResolvedAcquisitionDateTime", DT, Paths(&[&[0x5200_9229, 0x0020_9111, 0x0018_9074], &[0x5200_9230, 0x0020_9111, 0x0018_9074]]), Scope::Instance, Level::Stack).resolving("AcquisitionDateTime"),
    one("ResolvedAcquisitionNumber", IS, Paths(&[&[0x5200_9229, 0x0020_9111, 0x0020_9156], &[0x5200_9230, 0x0020_9111, 0x0020_9156]]), Scope::Instance, Level::Stack).resolving("AcquisitionNumber"),
    one("ResolvedFrameReferenceDateTime", DT, Paths(&[&[0x5200_9229, 0x0020_9111, 0x0018_9151], &[0x5200_9230, 0x0020_9111, 0x0018_9151]]), Scope::Instance, Level::Stack),
    one("ResolvedImagingFrequency", DS, Paths(&[&[0x5200_9229, 0x0018_9006, 0x0018_9098], &[0x5200_9230, 0x0018_9006, 0x0018_9098]]), Scope::Instance, Level::Stack).resolving("ImagingFrequency"),
    many("ResolvedDiffusionGradientOrientation", FD, Paths(&[&[0x5200_9229, 0x0018_9117, 0x0018_9076, 0x0018_9089], &[0x5200_9230, 0x0018_9117, 0x0018_9076, 0x0018_9089]]), Scope::Instance, Level::Stack).resolving("DiffusionGradientOrientation"),
    one("ResolvedXRayTubeCurrent", IS, Paths(&[&[0x5200_9229, 0x0018_9321, 0x0018_9330], &[0x5200_9230, 0x0018_9321, 0x0018_9330]]), Scope::Instance, Level::Stack).resolving("XRayTubeCurrent"),
    one("ResolvedExposureTime", IS, Paths(&[&[0x5200_9229, 0x0018_9321, 0x0018_9328], &[0x5200_9230, 0x0018_9321, 0x0018_9328]]), Scope::Instance, Level::Stack).resolving("ExposureTime"),
    one("ResolvedExposure", IS, Paths(&[&[0x5200_9229, 0x0018_9321, 0x0018_9332], &[0x5200_9230, 0x0018_9321, 0x0018_9332]]), Scope::Instance, Level::Stack).resolving("Exposure"),
    one("ResolvedImageLaterality", CS, Paths(&[&[0x5200_9229, 0x0020_9071, 0x0020_9072], &[0x5200_9230, 0x0020_9071, 0x0020_9072]]), Scope::Instance, Level::Stack).resolving("ImageLaterality"),
    one("ResolvedAnatomicRegionCodeMeaning", LO, Paths(&[&[0x5200_9229, 0x0020_9071, 0x0008_2218, 0x0008_0104], &[0x5200_9230, 0x0020_9071, 0x0008_2218, 0x0008_0104]]), Scope::Instance, Level::Stack).resolving("AnatomicRegionCodeMeaning"),
    one("ResolvedXOffsetInSlideCoordinateSystem", DS, Paths(&[&[0x5200_9229, 0x0048_021A, 0x0040_072A], &[0x5200_9230, 0x0048_021A, 0x0040_072A]]), Scope::Instance, Level::Stack),
    one("ResolvedYOffsetInSlideCoordinateSystem", DS, Paths(&[&[0x5200_9229, 0x0048_021A, 0x0040_073A], &[0x5200_9230, 0x0048_021A, 0x0040_073A]]), Scope::Instance, Level::Stack),
    one("ResolvedZOffsetInSlideCoordinateSystem", DS, Paths(&[&[0x5200_9229, 0x0048_021A, 0x0040_074A], &[0x5200_9230, 0x0048_021A, 0x0040_074A]]), Scope::Instance, Level::Stack),
];

/// The attribute of an id.
#[must_use]
pub fn attribute(id: AttributeId) -> &'static Attribute {
    &ATTRIBUTES[id.index()]
}

/// The attribute with this exact DICOM keyword.
#[must_use]
pub fn attribute_by_keyword(keyword: &str) -> Option<AttributeId> {
    static BY_KEYWORD: LazyLock<HashMap<&'static str, AttributeId>> =
        LazyLock::new(|| ids().map(|id| (attribute(id).keyword, id)).collect());
    BY_KEYWORD.get(keyword).copied()
}

/// The attributes that one table of a shard stores, in order of the table.
pub fn attributes_of_level(level: Level) -> impl Iterator<Item = AttributeId> {
    ids().filter(move |id| attribute(*id).level == level)
}

/// The column of view `dicom_metadata` that a keyword becomes: `StudyInstanceUID` is
/// `study_instance_uid`, `KVP` is `kvp`, `MRAcquisitionType` is `mr_acquisition_type`.
#[must_use]
pub fn dicom_metadata_name(keyword: &str) -> String {
    // Words that capitals do not tell apart.
    let keyword = keyword.replace("IDs", "Ids").replace("CTDIvol", "CtdiVol").replace("InmGy", "InMgy");
    let bytes = keyword.as_bytes();
    let mut name = String::with_capacity(keyword.len() + 8);
    for (n, byte) in bytes.iter().enumerate() {
        let after_lower = n > 0 && !bytes[n - 1].is_ascii_uppercase();
        let before_lower = n > 0 && bytes.get(n + 1).is_some_and(u8::is_ascii_lowercase);
        if byte.is_ascii_uppercase() && (after_lower || before_lower) {
            name.push('_');
        }
        name.push(char::from(byte.to_ascii_lowercase()));
    }
    name
}

fn ids() -> impl Iterator<Item = AttributeId> {
    (0_u16..).take(ATTRIBUTES.len()).map(AttributeId)
}

const fn base(keyword: &'static str, vr: Vr, source: Source, scope: Scope, level: Level) -> Attribute {
    let column = match vr {
        Vr::DS | Vr::FD | Vr::FL => ColumnType::Real,
        Vr::IS | Vr::SL | Vr::SS | Vr::UL | Vr::US => ColumnType::Integer,
        Vr::SQ => ColumnType::Items,
        _ => ColumnType::Text,
    };
    Attribute {
        keyword,
        source,
        vr,
        multiple: false,
        scope,
        level,
        column,
        resolves: None,
        indexed: false,
        since: 1,
    }
}

const fn one(keyword: &'static str, vr: Vr, source: Source, scope: Scope, level: Level) -> Attribute {
    base(keyword, vr, source, scope, level)
}

const fn many(keyword: &'static str, vr: Vr, source: Source, scope: Scope, level: Level) -> Attribute {
    Attribute { multiple: true, column: ColumnType::Text, ..base(keyword, vr, source, scope, level) }
}

const fn derived(keyword: &'static str, vr: Vr, derivation: Derivation) -> Attribute {
    base(keyword, vr, Source::Derived(derivation), Scope::Series, Level::Series)
}

impl Attribute {
    const fn indexed(self) -> Self {
        Self { indexed: true, ..self }
    }

    const fn resolving(self, keyword: &'static str) -> Self {
        Self { resolves: Some(keyword), ..self }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn keywords_and_flat_names_are_unique() {
        let keywords: HashSet<_> = ATTRIBUTES.iter().map(|a| a.keyword.to_lowercase()).collect();
        assert_eq!(keywords.len(), ATTRIBUTES.len());
        let flat: HashSet<_> = ATTRIBUTES.iter().map(|a| dicom_metadata_name(a.keyword)).collect();
        assert_eq!(flat.len(), ATTRIBUTES.len());
    }

    #[test]
    fn resolving_attributes_name_a_known_one_of_the_same_type() {
        for resolving in ATTRIBUTES.iter().filter(|a| a.resolves.is_some()) {
            let keyword = resolving.resolves.expect("filtered");
            let id = attribute_by_keyword(keyword).expect(keyword);
            assert_eq!(attribute(id).column, resolving.column, "{keyword}");
        }
    }

    #[test]
    fn flat_names() {
        for (keyword, name) in [
            ("PatientID", "patient_id"),
            ("StudyInstanceUID", "study_instance_uid"),
            ("SOPClassUID", "sop_class_uid"),
            ("KVP", "kvp"),
            ("MRAcquisitionType", "mr_acquisition_type"),
            ("Radiopharmaceutical", "radiopharmaceutical"),
            ("OtherPatientIDs", "other_patient_ids"),
            ("OtherPatientIDsSequence", "other_patient_ids_sequence"),
            ("CTDIvol", "ctdi_vol"),
            ("EntranceDoseInmGy", "entrance_dose_in_mgy"),
        ] {
            assert_eq!(dicom_metadata_name(keyword), name);
        }
    }
}
