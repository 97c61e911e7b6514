-- Plain reading.
SELECT * FROM studies
SELECT * FROM patients
SELECT * FROM instances WHERE Modality = 'CT'
SELECT count(*) FROM instances
SELECT count(*), count(Rows), count(DISTINCT PatientID) FROM instances
SELECT * FROM files
SELECT * FROM files WHERE state = 'quarantined'
SELECT state, count(*) FROM files GROUP BY state
SELECT path FROM files WHERE kind = 'zip' AND size > 50
SELECT count(*) FROM files WHERE SOPInstanceUID IS NULL
SELECT count(*) FROM files WHERE SOPInstanceUID = '1.2.5.0.0'
SELECT typeof(path), count(*) FROM files GROUP BY 1
SELECT * FROM odd_values WHERE keyword = 'Rows' AND domain = 'default'
SELECT * FROM radiopharmaceuticals WHERE Radiopharmaceutical = 'FDG'
SELECT count(*) FROM conflicts
-- The earlier tool's queries.
SELECT patient_id, modality FROM dicom_metadata WHERE patient_id = '12343'
SELECT * FROM dicom_metadata WHERE patient_name LIKE '%jane%'
SELECT * FROM dicom_metadata WHERE radiopharmaceutical = 'FDG'
SELECT study_instance_uid FROM dicom_metadata WHERE modality = 'MR' AND study_date BETWEEN '20180101' AND '20191231'
SELECT modality, COUNT(*) FROM dicom_metadata GROUP BY modality
SELECT COUNT(DISTINCT patient_id) FROM dicom_metadata WHERE manufacturer LIKE 'siemens%'
SELECT DISTINCT manufacturer FROM dicom_metadata ORDER BY manufacturer
-- Affinity.
SELECT count(*) FROM studies WHERE PatientID = 12343
SELECT count(*) FROM studies WHERE PatientID IN (12341, 12342, 'PAT007')
SELECT count(*) FROM studies WHERE PatientID BETWEEN 12341 AND 12344
SELECT count(*) FROM studies WHERE PatientID > 12342
SELECT count(*) FROM series WHERE SeriesNumber = '2'
SELECT count(*) FROM series WHERE SeriesNumber IN ('1', '2.0', 3)
SELECT count(*) FROM instances WHERE SliceThickness = '2.5'
SELECT count(*) FROM instances WHERE Rows > '100'
SELECT count(*) FROM instances WHERE SliceThickness IN (1, 2, 3)
SELECT count(*) FROM studies WHERE StudyDate > 2018
SELECT count(*) FROM studies WHERE +PatientID = '12343'
SELECT count(*) FROM studies WHERE CAST(PatientID AS INTEGER) = 12343
SELECT count(*) FROM studies WHERE CASE PatientID WHEN 12343 THEN 1 WHEN 'PAT007' THEN 1 END
SELECT count(*) FROM series WHERE Modality < SeriesNumber
-- Conditions.
SELECT * FROM series WHERE Modality IN ('CT', 'PT') AND NOT SeriesNumber > 1
SELECT * FROM series WHERE Modality NOT IN ('CT', 'PT') OR SeriesNumber IS NULL
SELECT * FROM series WHERE Manufacturer IS NULL
SELECT * FROM series WHERE Manufacturer IS NOT NULL AND Manufacturer <> 'GE'
SELECT * FROM series WHERE Manufacturer IS NOT 'GE'
SELECT * FROM series WHERE Manufacturer = 'siemens' COLLATE NOCASE
SELECT * FROM series WHERE Manufacturer COLLATE NOCASE IN ('siemens', 'ge')
SELECT * FROM series WHERE Manufacturer LIKE 'sie%' ESCAPE '!'
SELECT * FROM series WHERE Manufacturer GLOB 'S[Ii]*'
SELECT * FROM studies WHERE StudyDate GLOB '2019*' AND PatientName LIKE '%O''Hara%'
SELECT * FROM studies WHERE StudyDate LIKE '201_06%'
SELECT * FROM studies WHERE substr(StudyDate, 1, 4) = '2019' OR substr(StudyDate, 5, 2) = '06'
SELECT * FROM studies WHERE length(PatientID) = 5 AND upper(PatientName) LIKE 'DOE%'
SELECT * FROM studies WHERE PatientID || StudyDate > '12343'
SELECT * FROM studies WHERE coalesce(PatientID, 'none') = 'none'
SELECT * FROM instances WHERE Rows * 2 - 1 = 255 AND SliceThickness / 2 < 1
SELECT * FROM instances WHERE Rows & 128 AND InstanceNumber % 2
SELECT * FROM instances WHERE (Rows, InstanceNumber) = (128, 1)
SELECT * FROM instances WHERE CASE WHEN Rows > 100 THEN Modality = 'CT' ELSE Modality = 'MR' END
SELECT * FROM series WHERE (Modality = 'CT' OR Modality = 'MR') AND (SeriesNumber = 1 OR Manufacturer = 'GE')
SELECT * FROM series WHERE NOT (Modality = 'CT' AND SeriesNumber = 1)
SELECT * FROM series WHERE NULL OR Modality = 'CT'
SELECT * FROM series WHERE Modality = 'CT' AND TRUE
SELECT * FROM series WHERE "Modality" = 'CT' AND [SeriesNumber] = 1 AND `Manufacturer` IS NOT NULL
SELECT * FROM SERIES AS "the series" WHERE "the series".mODALITY = 'CT'
SELECT count(*) FROM instances WHERE SOPInstanceUID IN ('1.2.3.0.0', '1.2.4.0.0', '9.9')
SELECT count(*) FROM main.series WHERE main.series.Modality = 'CT'
-- Grouping.
SELECT Modality, count(*), avg(SliceThickness), min(Rows), max(Rows) FROM instances GROUP BY Modality
SELECT substr(StudyDate, 1, 4) AS year, Modality, count(DISTINCT StudyInstanceUID) FROM series GROUP BY year, Modality
SELECT PatientID, count(*) AS n FROM instances GROUP BY PatientID HAVING n > 20 ORDER BY n DESC, PatientID
SELECT Modality, sum(Rows) FILTER (WHERE Rows > 100) FROM instances GROUP BY 1
SELECT DISTINCT Modality, Manufacturer FROM series
SELECT sum(NumberOfPatientRelatedInstances), sum(NumberOfPatientRelatedStudies), count(*) FROM patients
SELECT PatientID, NumberOfPatientRelatedStudies FROM patients WHERE NumberOfPatientRelatedStudies > 2
SELECT PatientName FROM patients WHERE PatientID = 12343 AND domain = 'research'
SELECT count(*) FROM patients WHERE PatientName LIKE 'DOE%' AND bytes > 100000
SELECT Modality, group_concat(n, ',') FROM (SELECT Modality, SeriesNumber AS n FROM series ORDER BY Modality, n) GROUP BY Modality
-- Order and limits.
SELECT SOPInstanceUID FROM instances ORDER BY SOPInstanceUID LIMIT 10
SELECT SOPInstanceUID FROM instances ORDER BY SOPInstanceUID DESC LIMIT 10 OFFSET 5
SELECT StudyDate, StudyInstanceUID FROM studies WHERE PatientID LIKE '123%' ORDER BY StudyDate DESC, StudyInstanceUID
SELECT StudyInstanceUID FROM studies ORDER BY StudyDate, 1 LIMIT 3
SELECT Modality, count(*) FROM series GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 2
-- Joins.
SELECT t.StudyDate, s.Modality FROM studies t JOIN series s ON s.StudyInstanceUID = t.StudyInstanceUID WHERE t.PatientID = '12343'
SELECT count(*) FROM studies t, series s WHERE t.StudyInstanceUID = s.StudyInstanceUID AND s.Modality = 'CT' AND t.StudyDate > '2019'
SELECT t.StudyInstanceUID, s.Modality FROM studies t LEFT JOIN series s ON s.StudyInstanceUID = t.StudyInstanceUID AND s.Modality = 'PT'
SELECT t.StudyInstanceUID FROM studies t LEFT JOIN series s ON s.StudyInstanceUID = t.StudyInstanceUID AND s.Modality = 'PT' WHERE s.Modality IS NULL
SELECT t.StudyInstanceUID FROM studies t LEFT JOIN series s ON s.StudyInstanceUID = t.StudyInstanceUID WHERE s.Manufacturer IS NULL AND t.StudyDate > '2019'
SELECT count(*) FROM studies t LEFT JOIN series s ON s.StudyInstanceUID = t.StudyInstanceUID AND t.PatientID = '12343'
SELECT s.Modality, t.PatientID FROM series s RIGHT JOIN studies t ON t.StudyInstanceUID = s.StudyInstanceUID AND s.Modality = 'US' WHERE t.StudyDate > '2018'
SELECT count(*), count(s.Modality), count(t.PatientID) FROM series s FULL JOIN studies t ON t.StudyInstanceUID = s.StudyInstanceUID AND s.Modality = 'US'
SELECT count(*) FROM studies NATURAL JOIN series WHERE StudyDate > '2018' AND Modality = 'CT'
SELECT count(*) FROM studies JOIN series USING (StudyInstanceUID) WHERE StudyInstanceUID = '1.2.3'
SELECT count(*) FROM series a JOIN series b USING (StudyInstanceUID) WHERE a.Modality = 'CT' AND b.Modality = 'PT'
SELECT count(*) FROM (studies t JOIN series s ON s.StudyInstanceUID = t.StudyInstanceUID) WHERE s.Modality = 'CT'
SELECT p.PatientName, count(*) FROM patients p JOIN studies t ON t.PatientID = p.PatientID AND t.domain = p.domain GROUP BY 1
-- Subqueries, common table expressions, compounds.
SELECT * FROM studies WHERE StudyInstanceUID IN (SELECT StudyInstanceUID FROM series WHERE Modality = 'PT')
SELECT * FROM studies t WHERE EXISTS (SELECT 1 FROM series WHERE StudyInstanceUID = t.StudyInstanceUID AND Modality = 'CT')
SELECT * FROM studies t WHERE NOT EXISTS (SELECT 1 FROM series s WHERE s.StudyInstanceUID = t.StudyInstanceUID AND s.Modality = 'CT') AND StudyDate > '2018'
SELECT StudyDate, (SELECT count(*) FROM series s WHERE s.StudyInstanceUID = t.StudyInstanceUID AND Modality = 'CT') FROM studies t
SELECT * FROM (SELECT Modality AS PatientID, SeriesNumber FROM series WHERE SeriesNumber = 1) WHERE PatientID = 'CT'
WITH ct AS (SELECT * FROM series WHERE Modality = 'CT') SELECT Manufacturer, count(*) FROM ct WHERE SeriesNumber = 1 GROUP BY 1
WITH studies AS (SELECT Modality AS PatientID FROM series) SELECT count(*) FROM studies WHERE PatientID = 'CT'
WITH RECURSIVE years(y) AS (SELECT 2017 UNION ALL SELECT y + 1 FROM years WHERE y < 2020) SELECT y, (SELECT count(*) FROM studies WHERE substr(StudyDate, 1, 4) = CAST(y AS TEXT)) FROM years
SELECT StudyInstanceUID FROM series WHERE Modality = 'CT' UNION SELECT StudyInstanceUID FROM series WHERE Modality = 'PT'
SELECT StudyInstanceUID FROM series WHERE Modality = 'CT' INTERSECT SELECT StudyInstanceUID FROM series WHERE Modality = 'PT'
SELECT StudyInstanceUID FROM studies EXCEPT SELECT StudyInstanceUID FROM series WHERE Modality = 'CT'
SELECT 'series', count(*) FROM series WHERE Modality = 'CT' UNION ALL SELECT 'studies', count(*) FROM studies
SELECT PatientID FROM studies WHERE StudyDate = (SELECT max(StudyDate) FROM studies WHERE PatientID LIKE 'PAT%')
SELECT count(*) FROM series WHERE Modality IN (SELECT value FROM json_each('["CT","MR"]'))
-- Windows and functions.
SELECT StudyInstanceUID, row_number() OVER (PARTITION BY PatientID ORDER BY StudyDate, StudyInstanceUID) FROM studies
SELECT Modality, count(*) OVER (PARTITION BY Modality) FROM series WHERE SeriesNumber = 1
SELECT StudyDate, lag(StudyDate) OVER w FROM studies WHERE PatientID = '12343' WINDOW w AS (ORDER BY StudyDate, StudyInstanceUID)
SELECT json_extract(RadiopharmaceuticalInformationSequence, '$[0].Radiopharmaceutical'), count(*) FROM instances GROUP BY 1
SELECT json_group_array(Modality) FROM (SELECT DISTINCT Modality FROM series ORDER BY Modality)
SELECT StudyDate, date(substr(StudyDate, 1, 4) || '-' || substr(StudyDate, 5, 2) || '-' || substr(StudyDate, 7, 2), '+1 day') FROM studies
SELECT count(*) FROM studies WHERE StudyDate < strftime('%Y%m%d', 'now')
SELECT value, count(*) FROM instances, json_each('["' || replace(ImageType, '\', '","') || '"]') GROUP BY value
SELECT iif(Rows > 100, 'large', 'small') AS size, count(*) FROM instances GROUP BY size
SELECT typeof(PatientID), typeof(Rows), typeof(SliceThickness), count(*) FROM instances GROUP BY 1, 2, 3
-- No view at all.
SELECT 1 + 1, 'x'
VALUES (1, 'a'), (2, 'b')

-- A common table expression hides a view only where it is in scope.
SELECT (WITH series AS (SELECT 1 AS a) SELECT a FROM series), (SELECT count(*) FROM series), (SELECT count(*) FROM main.series WHERE Modality = 'CT')
WITH series AS (SELECT * FROM main.series WHERE Modality = 'CT') SELECT count(*) FROM series WHERE SeriesNumber > 0
