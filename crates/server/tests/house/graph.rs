//! The files of a crate and what they use of each other, read from their source.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};

/// A file that is a module.
pub struct File {
    /// Where it lies.
    pub path: PathBuf,
    /// Its place in the crate; empty for the crate's root.
    pub module: Vec<String>,
    /// Each path that it uses outside of its tests, with what its imports say put in: `crate::a::b`, `std::fs::read`.
    pub paths: Vec<Vec<String>>,
    /// What it hands on under a name of its own.
    reexports: BTreeMap<String, Vec<String>>,
    /// Its children that are for tests only.
    tests: Vec<Vec<String>>,
}

/// The files of a crate.
pub struct Graph {
    /// All of them, in the order of their modules.
    pub files: Vec<File>,
}

impl Graph {
    /// Reads the files of a crate from its `src`.
    pub fn read(src: &Path) -> Self {
        let mut files = Vec::new();
        walk(src, &mut Vec::new(), &mut files);
        let tests: Vec<Vec<String>> = files.iter().flat_map(|file: &File| file.tests.iter().cloned()).collect();
        files.retain(|file| !tests.iter().any(|test| file.module.starts_with(test)));
        files.sort_by(|one, other| one.module.cmp(&other.module));
        Self { files }
    }

    /// The files that each file uses, by their place.
    pub fn edges(&self) -> Vec<BTreeSet<usize>> {
        let places: BTreeMap<&[String], usize> =
            self.files.iter().enumerate().map(|(place, file)| (&file.module[..], place)).collect();
        let of = |place: usize| {
            let paths = self.files[place].paths.iter().filter(|path| path[0] == "crate");
            let used = paths.map(|path| self.resolve(&places, &path[1..], 0));
            used.filter(|used| *used != place).collect()
        };
        (0..self.files.len()).map(of).collect()
    }

    /// The file that a path leads to: the deepest module of it, or the one that what it names was handed on from.
    fn resolve(&self, places: &BTreeMap<&[String], usize>, path: &[String], depth: usize) -> usize {
        let depth_of = |length: &usize| places.contains_key(&path[..*length]);
        let length = (0..=path.len()).rev().find(depth_of).unwrap_or(0);
        let place = places[&path[..length]];
        let handed_on = path.get(length).and_then(|name| self.files[place].reexports.get(name));
        match handed_on {
            Some(target) if depth < 8 && target[0] == "crate" => self.resolve(places, &target[1..], depth + 1),
            _ => place,
        }
    }

    /// Whether one of two files is the other's parent.
    pub fn are_parent_and_child(&self, one: usize, other: usize) -> bool {
        let (one, other) = (&self.files[one].module, &self.files[other].module);
        let is_parent =
            |parent: &[String], child: &[String]| child.split_last().is_some_and(|(_, rest)| rest == parent);
        is_parent(one, other) || is_parent(other, one)
    }
}

/// The circles of a graph: sets of places that all reach each other, those of one place left out.
pub fn circles(edges: &[BTreeSet<usize>]) -> Vec<BTreeSet<usize>> {
    let reached = |from: usize| {
        let (mut reached, mut next) = (BTreeSet::new(), vec![from]);
        while let Some(place) = next.pop() {
            next.extend(edges[place].iter().filter(|to| reached.insert(**to)));
        }
        reached
    };
    let reached: Vec<BTreeSet<usize>> = (0..edges.len()).map(reached).collect();
    let circle = |place: usize| -> BTreeSet<usize> {
        reached[place].iter().copied().filter(|other| reached[*other].contains(&place)).collect()
    };
    let circles: BTreeSet<BTreeSet<usize>> = (0..edges.len()).map(circle).filter(|circle| circle.len() > 1).collect();
    circles.into_iter().collect()
}

fn walk(folder: &Path, module: &mut Vec<String>, files: &mut Vec<File>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            module.push(stem);
            walk(&path, module, files);
            module.pop();
        } else if path.extension().is_some_and(|ending| ending == "rs") && stem != "main" {
            let mut own = module.clone();
            if !matches!(stem.as_str(), "mod" | "lib") {
                own.push(stem);
            }
            files.push(read(path, own));
        }
    }
}

fn read(path: PathBuf, module: Vec<String>) -> File {
    let text = fs::read_to_string(&path).unwrap();
    let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut imports = Imports::default();
    imports.visit_file(&parsed);
    let mut used = Used::default();
    used.visit_file(&parsed);
    let names: BTreeMap<String, Vec<String>> =
        imports.all.iter().map(|import| (import.name.clone(), absolute(&module, &import.path))).collect();
    let children: BTreeSet<String> = imports.children;
    let tests = imports.tests.iter().map(|name| [&module[..], std::slice::from_ref(name)].concat()).collect();
    let whole = |path: &Vec<String>| -> Vec<String> {
        match names.get(&path[0]) {
            Some(target) => [&target[..], &path[1..]].concat(),
            None if children.contains(&path[0]) => absolute(&module, &[&["self".to_owned()], &path[..]].concat()),
            None => absolute(&module, path),
        }
    };
    let paths = names.values().cloned().chain(used.paths.iter().map(whole)).collect();
    let handed_on = imports.all.iter().filter(|import| import.is_handed_on);
    let reexports = handed_on.map(|import| (import.name.clone(), names[&import.name].clone())).collect();
    File { path, module, paths, reexports, tests }
}

/// A path from the crate's root on, if it is one of the crate's.
fn absolute(module: &[String], path: &[String]) -> Vec<String> {
    let mut base: Vec<String> = module.to_vec();
    let mut rest = path;
    let mut is_ours = false;
    while let Some((first, after)) = rest.split_first() {
        match first.as_str() {
            "crate" => base.clear(),
            "self" => {}
            "super" => drop(base.pop()),
            _ => break,
        }
        (is_ours, rest) = (true, after);
    }
    if is_ours { [&["crate".to_owned()], &base[..], rest].concat() } else { path.to_vec() }
}

struct Import {
    name: String,
    path: Vec<String>,
    is_handed_on: bool,
}

/// The imports of a file, and its child modules.
#[derive(Default)]
struct Imports {
    all: Vec<Import>,
    children: BTreeSet<String>,
    tests: Vec<String>,
}

impl<'ast> Visit<'ast> for Imports {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if is_test(&item.attrs) {
            self.tests.push(item.ident.to_string());
        } else {
            self.children.insert(item.ident.to_string());
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let is_handed_on = !matches!(item.vis, syn::Visibility::Inherited);
        self.tree(&item.tree, Vec::new(), is_handed_on);
    }
}

impl Imports {
    fn tree(&mut self, tree: &syn::UseTree, mut path: Vec<String>, is_handed_on: bool) {
        match tree {
            syn::UseTree::Path(part) => {
                path.push(part.ident.to_string());
                self.tree(&part.tree, path, is_handed_on);
            }
            syn::UseTree::Name(part) if part.ident == "self" => {
                let name = path.last().cloned().unwrap_or_default();
                self.all.push(Import { name, path, is_handed_on });
            }
            syn::UseTree::Name(part) => {
                path.push(part.ident.to_string());
                self.all.push(Import { name: part.ident.to_string(), path, is_handed_on });
            }
            syn::UseTree::Rename(part) => {
                path.push(part.ident.to_string());
                self.all.push(Import { name: part.rename.to_string(), path, is_handed_on });
            }
            syn::UseTree::Glob(_) => self.all.push(Import { name: String::from("*"), path, is_handed_on }),
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.tree(tree, path.clone(), is_handed_on);
                }
            }
        }
    }
}

/// The paths that a file uses, as they are written.
#[derive(Default)]
struct Used {
    paths: Vec<Vec<String>>,
}

impl<'ast> Visit<'ast> for Used {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_test(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.paths.push(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        visit::visit_path(self, path);
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.meta.require_list().is_ok_and(|list| list.tokens.to_string() == "test")
    })
}
