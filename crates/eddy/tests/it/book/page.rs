//! A page as the tests see it: its fenced blocks with what each is for, its links, and what can be linked to.
//! Blocks in HTML comments count too: they prepare or check what the page does not show.

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};
use std::path::{Path, PathBuf};

/// The root of the project.
pub(super) fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().expect("the crate lies in the project")
}

/// A Markdown file.
pub(super) struct Page {
    /// Relative to the root.
    pub(super) path: String,
    pub(super) blocks: Vec<Block>,
    /// Targets of its links and images.
    pub(super) links: Vec<String>,
    /// Ids of its headings.
    pub(super) anchors: Vec<String>,
}

/// A fenced block.
pub(super) struct Block {
    pub(super) line: usize,
    info: String,
    pub(super) text: String,
}

/// What is done with a block.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// `console`: its commands are run. With `no-node` there is none to ask.
    Run { no_node: bool },
    /// `LANGUAGE,file=PATH`: written into the page's folder; with `append` behind what is there.
    File { path: String, append: bool },
    /// `LANGUAGE,from=PATH`: stands like this in a file of the project.
    From { path: String },
    /// `json`: read as what it looks like.
    Json,
    /// `toml`: a manifest.
    Manifest,
    /// `text`: no code. A drawing, bytes, the form of an error.
    Text,
    /// `LANGUAGE,ignore`: cannot be run here. A snapshot lists them.
    Ignored,
}

impl Block {
    pub(super) fn purpose(&self) -> Result<Use, String> {
        let mut marks = self.info.split(',');
        let language = marks.next().unwrap_or_default();
        let marks: Vec<_> = marks.collect();
        let file = |path: &str| path.to_owned();
        let purpose = match (language, &marks[..]) {
            ("console", []) => Use::Run { no_node: false },
            ("console", ["no-node"]) => Use::Run { no_node: true },
            ("json", []) => Use::Json,
            ("toml", []) => Use::Manifest,
            ("text", []) if self.text.lines().any(|line| line.starts_with("$ ")) => {
                return Err("commands belong into a block of `console`".to_owned());
            }
            ("text", []) => Use::Text,
            ("" | "text", _) => return Err(format!("`{}` says nothing", self.info)),
            (_, ["ignore"]) => Use::Ignored,
            (_, [mark]) if mark.starts_with("file=") => Use::File {
                path: file(&mark[5..]),
                append: false,
            },
            (_, [mark, "append"]) if mark.starts_with("file=") => Use::File {
                path: file(&mark[5..]),
                append: true,
            },
            (_, [mark]) if mark.starts_with("from=") => Use::From {
                path: file(&mark[5..]),
            },
            _ => {
                return Err(format!("`{}` is nothing that the tests can run", self.info));
            }
        };
        Ok(purpose)
    }

    /// The info string and the first line: what names a block in a list.
    pub(super) fn title(&self) -> String {
        let first = self.text.lines().next().unwrap_or_default();
        format!("{}: {first}", self.info)
    }
}

impl Page {
    pub(super) fn read(path: &str) -> Self {
        let text = std::fs::read_to_string(root().join(path));
        Self::of(
            path,
            &text.unwrap_or_else(|error| panic!("{path}: {error}")),
        )
    }

    /// A page with this text.
    pub(super) fn of(path: &str, text: &str) -> Self {
        let mut page = Self {
            path: path.to_owned(),
            blocks: Vec::new(),
            links: Vec::new(),
            anchors: Vec::new(),
        };
        page.gather(text, 1);
        page
    }

    /// Reads Markdown that begins at this line of the file.
    fn gather(&mut self, text: &str, first: usize) {
        let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
        let mut code: Option<Block> = None;
        let mut heading: Option<String> = None;
        let mut html: Option<(usize, String)> = None;
        for (event, at) in Parser::new_ext(text, options).into_offset_iter() {
            let line = first + text[..at.start].matches('\n').count();
            match event {
                Event::Start(Tag::CodeBlock(kind)) => {
                    let info = match kind {
                        CodeBlockKind::Fenced(info) => info.into_string(),
                        CodeBlockKind::Indented => "indented".to_owned(),
                    };
                    let text = String::new();
                    code = Some(Block { line, info, text });
                }
                Event::End(TagEnd::CodeBlock) => self.blocks.extend(code.take()),
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    self.anchors.extend(heading.take().map(|text| id(&text)));
                }
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    self.links.push(dest_url.into_string());
                }
                Event::Start(Tag::HtmlBlock) => html = Some((line, String::new())),
                Event::Html(part) => {
                    if let Some((_, text)) = &mut html {
                        text.push_str(&part);
                    }
                }
                Event::End(TagEnd::HtmlBlock) => {
                    if let Some((line, text)) = html.take() {
                        self.hidden(&text, line);
                    }
                }
                Event::Text(part) | Event::Code(part) => {
                    if let Some(text) = code.as_mut().map(|block| &mut block.text) {
                        text.push_str(&part);
                    } else if let Some(heading) = &mut heading {
                        heading.push_str(&part);
                    }
                }
                _ => {}
            }
        }
    }

    /// What a comment holds is a page, too.
    fn hidden(&mut self, html: &str, line: usize) {
        let comment = html.trim().strip_prefix("<!--");
        if let Some(text) = comment.and_then(|text| text.strip_suffix("-->")) {
            self.gather(text, line);
        }
    }
}

/// The id that mdBook, and every viewer of Markdown, gives a heading.
fn id(heading: &str) -> String {
    let kept = heading.trim().chars().filter_map(|c| match c {
        c if c.is_alphanumeric() || c == '_' || c == '-' => Some(c.to_ascii_lowercase()),
        c if c.is_whitespace() => Some('-'),
        _ => None,
    });
    kept.collect()
}

/// All Markdown files below a folder, relative to the root.
pub(super) fn pages_in(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    let entries = std::fs::read_dir(root().join(folder)).expect("the folder is there");
    for entry in entries {
        let entry = entry.expect("an entry");
        let name = entry.file_name().into_string().expect("UTF-8");
        let path = format!("{folder}/{name}");
        if entry.file_type().expect("a type").is_dir() {
            found.extend(pages_in(&path));
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
    found.sort();
    found
}
