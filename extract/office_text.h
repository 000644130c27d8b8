// Text out of the documents of Microsoft Office: paragraphs and tables of Word with their notes,
// the cells of Excel row by row, the slides of PowerPoint in their order with the speaker's notes.
// What was deleted under change tracking, codes of fields and pictures are left out.
#pragma once

#include <string>

#include "extract/document.h"
#include "extract/office_package.h"

namespace parlance::extract {

/// The text of `package`, which is no other_archive. Refuses: broken, too_large, too_deep.
Extracted<std::string> office_text(OfficePackage& package, const Limits& limits);

}  // namespace parlance::extract
