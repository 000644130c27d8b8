// Text out of an Excel workbook: each sheet's name, then its rows, cells apart by tabs. Values are
// those that were last shown: shared strings looked up, dates written as dates.
#pragma once

#include "extract/office_package.h"
#include "extract/text_sink.h"

namespace parlance::extract {

/// Writes to `sink`. Returns Outcome::text, or why it stopped (broken, too_large, too_deep).
Outcome write_spreadsheet(OfficePackage& package, TextSink& sink);

}  // namespace parlance::extract
