// Reads the 45 attributes of all files below a directory with GDCM's Scanner, and keeps them in memory.
// usage: gdcm-scanner DIR ATTRIBUTES   (lines "GGGG,EEEE<tab>Keyword")
// build: c++ -O2 -I/usr/include/gdcm-3.0 scanner.cpp -lgdcmMSFF -lgdcmDSED -lgdcmCommon
#include <cstdio>
#include <fstream>
#include <iostream>
#include <string>

#include <gdcmDirectory.h>
#include <gdcmScanner.h>

int main(int count, char **arguments) {
    if (count != 3) {
        std::cerr << "usage: gdcm-scanner DIR ATTRIBUTES\n";
        return 2;
    }
    gdcm::Scanner scanner;
    std::ifstream attributes(arguments[2]);
    for (std::string line; std::getline(attributes, line);) {
        unsigned group = 0, element = 0;
        if (std::sscanf(line.c_str(), "%x,%x", &group, &element) == 2)
            scanner.AddTag(gdcm::Tag(static_cast<uint16_t>(group), static_cast<uint16_t>(element)));
    }
    gdcm::Directory directory;
    directory.Load(arguments[1], true);
    const auto &names = directory.GetFilenames();
    if (!scanner.Scan(names)) {
        std::cerr << "the scan failed\n";
        return 1;
    }
    size_t read = 0;
    for (const auto &name : names)
        read += scanner.IsKey(name.c_str()) ? 1 : 0;
    std::cout << "{\"files\": " << read << "}\n";
}
