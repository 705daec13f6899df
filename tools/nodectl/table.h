// Columns for the eye: cells separated by tabs, aligned as docker aligns them. Pure. Called by
// whatever prints a table.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace noded::nodectl {

constexpr size_t kColumnWidthMin = 10;

/// Pads every cell that is followed by a tab to the width of its column (three blanks
/// between columns); the last cell of a line is left as it is. Widths are counted in UTF-8
/// characters.
std::string align_tabs(std::string_view text, size_t column_width_min = kColumnWidthMin);

/// Cuts to `width` characters, the last of them an ellipsis, if it is longer.
std::string ellipsis(std::string_view text, size_t width);

}  // namespace noded::nodectl
