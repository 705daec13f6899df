// TopScreen: the terminal of `nodectl top`, drawn by ncurses. Knows what is looked at (the list, or
// one container) and what keys mean; asks nobody.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "agent/base/result.h"
#include "tools/nodectl/top_model.h"

namespace noded::nodectl {

/// One container, looked at closely.
struct TopDetail {
    std::string id;  ///< empty: the list is looked at
    bool processes = false;  ///< otherwise its output
    std::vector<std::string> lines;
    std::string trouble;  ///< why there are none
};

class TopScreen {
public:
    /// A sentence when this is no terminal that can be drawn on.
    static Status check_terminal();
    TopScreen();
    ~TopScreen();
    TopScreen(const TopScreen&) = delete;
    TopScreen& operator=(const TopScreen&) = delete;

    /// Takes the keys that are there. False: the user wants to leave.
    bool take_keys(TopModel& model);
    void draw(const TopModel& model, const std::string& node_name);
    void resized();
    /// Everything is drawn anew, whatever the terminal shows.
    void redraw();

    TopDetail& detail() { return detail_; }
    std::string message;  ///< in the last line, instead of the help

private:
    bool take_key(int key, TopModel& model);
    bool take_filter_key(int key, TopModel& model);
    bool take_detail_key(int key);
    bool take_list_key(int key, TopModel& model);
    void move_selection(int by, const TopModel& model);
    void draw_head(const TopModel& model, const std::string& node_name);
    void draw_list(const TopModel& model);
    void draw_row(int line, const TopRow& row, bool selected);
    void draw_detail(const TopModel& model);
    void draw_help();
    void draw_foot(const TopModel& model);
    void put(int line, int column, const std::string& text, int attributes = 0);
    int colour_of(double percent) const;

    TopDetail detail_;
    std::string selected_;  ///< id
    int first_ = 0;         ///< row that is shown first
    int scroll_ = 0;        ///< lines from the end of a detail
    bool help_ = false;
    bool filtering_ = false;
    std::string filter_before_;
    bool coloured_ = false;
    bool utf8_ = false;
};

}  // namespace noded::nodectl
