//! Lines of painted words. All text passes [`clean()`] here, so that no caller can forget it.

use unicode_width::UnicodeWidthStr;

use super::{Role, Style, clean};

/// Columns of a label such as `forecast`, with the space behind it.
pub(super) const LABEL: usize = 12;
/// Columns of a sign such as `->`, right-aligned.
const SIGN: usize = 3;

/// Stands for a space at which no line is broken.
const GLUE: char = '\u{a0}';

/// A text under construction.
pub(super) struct Page<'s> {
    style: &'s Style,
    text: String,
}

/// Words of one role.
pub(super) type Span = (Role, String);

/// Words of ordinary text.
pub(super) fn plain(text: impl Into<String>) -> Span {
    (Role::Plain, text.into())
}

/// A figure with its unit, which stay on one line.
pub(super) fn glued(figure: &impl ToString) -> String {
    figure.to_string().replace(' ', &GLUE.to_string())
}

impl<'s> Page<'s> {
    pub(super) fn new(style: &'s Style) -> Self {
        Self {
            style,
            text: String::new(),
        }
    }

    pub(super) fn finish(self) -> String {
        self.text
    }

    /// An empty line, but never two and none at the top.
    pub(super) fn blank(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    /// Words with a space between them, broken at the width; further lines are indented by `hang`.
    pub(super) fn line(&mut self, indent: usize, hang: usize, spans: &[Span]) {
        self.text.push_str(&" ".repeat(indent));
        self.words(indent, hang, spans);
    }

    /// A label and what belongs to it, aligned with its neighbours.
    pub(super) fn entry(&mut self, indent: usize, label: &str, spans: &[Span]) {
        self.columns(indent, &[(label, LABEL)], spans);
    }

    /// Cells, each filled up to its width, and words behind them.
    pub(super) fn columns(&mut self, indent: usize, cells: &[(&str, usize)], spans: &[Span]) {
        let mut head = " ".repeat(indent);
        for (cell, width) in cells {
            let cell = clean(cell);
            head.push_str(&cell);
            head.push_str(&" ".repeat(width.saturating_sub(cell.width()).max(1)));
        }
        let column = head.width();
        self.text.push_str(if spans.is_empty() {
            head.trim_end()
        } else {
            &head
        });
        self.words(column, column, spans);
    }

    /// A sign in its column and what it means or marks.
    pub(super) fn sign(&mut self, role: Role, sign: &str, text: &[Span]) {
        let column = format!("{sign:>SIGN$} ");
        self.text.push_str(&self.style.paint(role, &column));
        self.words(SIGN + 1, SIGN + 1, text);
    }

    /// A table whose cells are clean already.
    pub(super) fn table(&mut self, table: &comfy_table::Table) {
        for line in table.lines() {
            self.text.push_str(line.trim_end());
            self.text.push('\n');
        }
    }

    /// A line exactly as it is, cleaned and never broken.
    pub(super) fn verbatim(&mut self, indent: usize, role: Role, text: &str) {
        let line = format!("{}{}", " ".repeat(indent), clean(text));
        self.text.push_str(&self.style.paint(role, line.trim_end()));
        self.text.push('\n');
    }

    fn words(&mut self, start: usize, hang: usize, spans: &[Span]) {
        let mut column = start;
        let mut run: (Role, String) = (Role::Plain, String::new());
        let mut first = true;
        for (role, text) in spans {
            for word in text.split_ascii_whitespace() {
                let word = clean(word).replace(GLUE, " ");
                let breaks = !first && column + 1 + word.width() > self.style.width;
                if breaks {
                    self.flush(&mut run, *role);
                    self.text.push('\n');
                    self.text.push_str(&" ".repeat(hang));
                    column = hang;
                } else if !first {
                    // The space takes the colour of what stands before it.
                    run.1.push(' ');
                    column += 1;
                }
                if run.0 != *role {
                    self.flush(&mut run, *role);
                }
                run.1.push_str(&word);
                column += word.width();
                first = false;
            }
        }
        self.flush(&mut run, Role::Plain);
        self.text.push('\n');
    }

    fn flush(&mut self, run: &mut (Role, String), next: Role) {
        let painted = self.style.paint(run.0, &run.1);
        self.text.push_str(&painted);
        *run = (next, String::new());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_break_at_the_width_and_hang() {
        let style = Style::plain(20);
        let mut page = Page::new(&style);
        page.entry(2, "why", &[plain("one two three four")]);
        page.line(0, 2, &[plain("aaaaaaaaaa bbbbbbbbb cc")]);
        assert_eq!(
            page.finish(),
            "  why         one\n              two\n              three\n              four\naaaaaaaaaa bbbbbbbbb\n  cc\n"
        );
    }

    #[test]
    fn colours_enclose_words_and_never_the_text_of_a_host() {
        let style = Style {
            color: true,
            width: 80,
        };
        let mut page = Page::new(&style);
        page.line(0, 0, &[plain("is"), (Role::Bad, "a\u{1b}[0mb c".into())]);
        assert_eq!(
            page.finish(),
            "is \u{1b}[1m\u{1b}[31ma\\u{1b}[0mb c\u{1b}[0m\n"
        );
    }
}
