//! The topics that a SUB wants: a counted set of byte strings that knows whether one of them is a
//! prefix of a body.
//!
//! A radix trie of nodes of 16 bytes. The children of a node lie side by side in the order of
//! their first bytes. No operation recurses, and each takes time by the length of its topic, or
//! of the part of the body that is in the trie, whatever the number of topics.

use super::pool::{Cell, Pool, class_size};
use crate::message::OutOfMemory;

/// The topic to be removed is not in the set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotSubscribed;

/// Topic prefixes, each with the number of times that it was subscribed.
#[derive(Debug, Default)]
pub struct Subscriptions {
    /// Empty, or the root is at [`ROOT`].
    nodes: Pool<Node>,
    texts: Pool<Text>,
}

/// The bytes on the edge from the parent are the label: `first`, and the rest. The label of the
/// root is never looked at.
///
/// A node is there because it is the root, because a topic ends at it, because the trie branches
/// below it, or because one label could not hold a text that long. A failing allocation may leave a
/// node that is none of these; it does no harm and goes when the topics below it do.
#[derive(Clone, Copy, Debug, Default)]
struct Node {
    /// Where the block of children begins, if there is a child.
    children: u32,
    /// How many times the topic that ends here is subscribed.
    count: u32,
    /// The rest of the label if it fits, else where its text is.
    rest: [u8; REST_INLINE_MAX],
    rest_len: u8,
    first: u8,
    /// The number of children.
    width: u16,
}

/// A piece of the rest of a label.
type Text = [u8; 8];

/// A child of `parent`, by its place among the children.
#[derive(Clone, Copy)]
struct Branch {
    parent: u32,
    place: usize,
}

impl Subscriptions {
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Whether a topic is a prefix of `body`.
    pub fn matches(&self, body: &[u8]) -> bool {
        if self.is_empty() {
            return false;
        }
        let (mut node, mut left) = (&self.nodes[ROOT], body);
        while node.count == 0 {
            let Some((&first, after)) = left.split_first() else { return false };
            let children = self.children(node);
            let Ok(place) = place_of(first, children) else { return false };
            node = &children[place];
            let Some(after) = after.strip_prefix(self.rest(node)) else { return false };
            left = after;
        }
        true
    }

    /// The size of the longest topic that is a prefix of `body`.
    pub fn longest(&self, body: &[u8]) -> Option<usize> {
        if self.is_empty() {
            return None;
        }
        let (mut node, mut left, mut longest) = (&self.nodes[ROOT], body, None);
        loop {
            if node.count > 0 {
                longest = Some(body.len() - left.len());
            }
            let Some((&first, after)) = left.split_first() else { return longest };
            let children = self.children(node);
            let Ok(place) = place_of(first, children) else { return longest };
            node = &children[place];
            let Some(after) = after.strip_prefix(self.rest(node)) else { return longest };
            left = after;
        }
    }

    pub fn contains(&self, topic: &[u8]) -> bool {
        self.find(topic).is_some_and(|(at, _)| self.nodes[at].count > 0)
    }

    /// Subscribes to `topic` once more.
    ///
    /// # Errors
    /// When memory cannot be had, or nobody can count so far; the set is unchanged.
    pub fn add(&mut self, topic: &[u8]) -> Result<(), OutOfMemory> {
        if self.is_empty() {
            self.nodes.reserve(1)?;
            self.nodes.take(1);
        }
        let added = self.insert(topic);
        self.tidy_up();
        added
    }

    /// Takes one subscription to `topic` back.
    ///
    /// # Errors
    /// When there is none; the set is unchanged.
    pub fn remove(&mut self, topic: &[u8]) -> Result<(), NotSubscribed> {
        let (at, stump) = self.find(topic).ok_or(NotSubscribed)?;
        let node = &mut self.nodes[at];
        node.count = node.count.checked_sub(1).ok_or(NotSubscribed)?;
        if node.count == 0 {
            match (node.width, stump) {
                (0, Some(stump)) => {
                    self.cut(stump);
                    self.join(stump.parent);
                }
                _ => self.join(at),
            }
            self.tidy_up();
        }
        Ok(())
    }

    fn insert(&mut self, topic: &[u8]) -> Result<(), OutOfMemory> {
        let (mut at, mut left) = (ROOT, topic);
        while let Some((&first, after)) = left.split_first() {
            let node = self.nodes[at];
            let place = match place_of(first, self.children(&node)) {
                Ok(place) => place,
                Err(place) => return self.graft(Branch { parent: at, place }, left),
            };
            at = node.children + place as u32;
            let rest = self.rest(&self.nodes[at]);
            let common = rest.iter().zip(after).take_while(|(ours, theirs)| ours == theirs).count();
            if common < rest.len() {
                self.split(at, common)?;
            }
            left = &after[common..];
        }
        let node = &mut self.nodes[at];
        node.count = node.count.checked_add(1).ok_or(OutOfMemory)?;
        Ok(())
    }

    /// The node where `topic` ends, and the branch that nothing else would need.
    fn find(&self, topic: &[u8]) -> Option<(u32, Option<Branch>)> {
        if self.is_empty() {
            return None;
        }
        let (mut at, mut left, mut stump) = (ROOT, topic, None);
        while let Some((&first, after)) = left.split_first() {
            let node = &self.nodes[at];
            let place = place_of(first, self.children(node)).ok()?;
            if at == ROOT || node.count > 0 || node.width > 1 {
                stump = Some(Branch { parent: at, place });
            }
            at = node.children + place as u32;
            left = after.strip_prefix(self.rest(&self.nodes[at]))?;
        }
        Some((at, stump))
    }

    /// Divides the label of the node behind its first byte and `common` others.
    fn split(&mut self, at: u32, common: usize) -> Result<(), OutOfMemory> {
        let old = self.nodes[at];
        let mut buffer = [0; LABEL_MAX];
        let label = self.copy_label(&old, &mut buffer);
        let (upper, lower) = label.split_at(1 + common);
        self.nodes.reserve(1)?;
        self.texts.reserve(text_cells(upper) + text_cells(lower))?;
        self.drop_text(&old);
        let block = self.nodes.take(1);
        let lower = self.labelled(lower);
        self.nodes[block] =
            Node { children: old.children, count: old.count, width: old.width, ..lower };
        self.nodes[at] = Node { children: block, width: 1, ..self.labelled(upper) };
        Ok(())
    }

    /// Makes the node one with its only child, if it is there for nothing else.
    fn join(&mut self, at: u32) {
        let upper = self.nodes[at];
        if at == ROOT || upper.count > 0 || upper.width != 1 {
            return;
        }
        let lower = self.nodes[upper.children];
        let len = upper.label_len() + lower.label_len();
        let mut buffer = [0; 2 * LABEL_MAX];
        let end = self.copy_label(&upper, &mut buffer).len();
        self.copy_label(&lower, &mut buffer[end..]);
        let label = &buffer[..len];
        // Two nodes do as well as one, so it is no failure if memory for the label is missing.
        if len > LABEL_MAX || self.texts.reserve(text_cells(label)).is_err() {
            return;
        }
        self.drop_text(&upper);
        self.drop_text(&lower);
        self.nodes.give(upper.children, 1);
        self.nodes[at] = Node {
            children: lower.children,
            count: lower.count,
            width: lower.width,
            ..self.labelled(label)
        };
    }

    /// Puts a new child at the branch, and below it what one label cannot hold of `topic`.
    fn graft(&mut self, branch: Branch, topic: &[u8]) -> Result<(), OutOfMemory> {
        let labels = topic.chunks(LABEL_MAX);
        let node = self.nodes[branch.parent];
        self.nodes.reserve(class_size(usize::from(node.width) + 1) + labels.len() - 1)?;
        self.texts.reserve(labels.clone().map(text_cells).sum())?;
        let mut at = self.widen(branch);
        for (index, label) in labels.enumerate() {
            if index > 0 {
                let block = self.nodes.take(1);
                self.nodes[at] = Node { children: block, width: 1, ..self.nodes[at] };
                at = block;
            }
            self.nodes[at] = self.labelled(label);
        }
        self.nodes[at].count = 1;
        Ok(())
    }

    /// Removes the child at the branch, and all below it, which does not branch.
    fn cut(&mut self, branch: Branch) {
        let parent = self.nodes[branch.parent];
        let mut node = self.nodes[parent.children + branch.place as u32];
        self.drop_text(&node);
        while node.width > 0 {
            let block = node.children;
            node = self.nodes[block];
            self.drop_text(&node);
            self.nodes.give(block, 1);
        }
        self.narrow(branch);
    }

    /// Makes place for a child, and says where. Room has been reserved.
    fn widen(&mut self, Branch { parent, place }: Branch) -> u32 {
        let node = self.nodes[parent];
        let (old, width) = (node.children, usize::from(node.width));
        let gap = old + place as u32;
        let end = old + width as u32;
        let mut block = old;
        if width == 0 || class_size(width) < class_size(width + 1) {
            block = self.nodes.take(width + 1);
            self.nodes.copy(old..gap, block);
            self.nodes.copy(gap..end, block + place as u32 + 1);
            if width > 0 {
                self.nodes.give(old, width);
            }
        } else {
            self.nodes.copy(gap..end, gap + 1);
        }
        self.nodes[parent] = Node { children: block, width: node.width + 1, ..node };
        block + place as u32
    }

    /// Closes the gap that a child leaves.
    fn narrow(&mut self, Branch { parent, place }: Branch) {
        let node = self.nodes[parent];
        let (block, width) = (node.children, usize::from(node.width));
        let gap = block + place as u32;
        self.nodes.copy(gap + 1..block + width as u32, gap);
        let mut children = block;
        if width == 1 {
            self.nodes.give(block, 1);
        } else {
            children = self.nodes.shrink(block, width);
        }
        self.nodes[parent] = Node { children, width: node.width - 1, ..node };
    }

    /// Returns memory: all of it when no topic is left, else when most of it lies idle.
    fn tidy_up(&mut self) {
        let root = self.nodes[ROOT];
        if root.count == 0 && root.width == 0 {
            *self = Subscriptions::default();
            return;
        }
        if self.is_sparse() {
            // What cannot be moved together for want of memory stays where it is.
            if let Ok(compact) = self.compact() {
                *self = compact;
            }
        }
    }

    fn is_sparse(&self) -> bool {
        let held = bytes::<Node>(self.nodes.len()) + bytes::<Text>(self.texts.len());
        let used = bytes::<Node>(self.nodes.live()) + bytes::<Text>(self.texts.live());
        held > SPARSE_MIN && used < held / 2
    }

    /// The same trie without gaps. The cells are their own queue: what a cell refers to is
    /// appended when its turn comes.
    fn compact(&self) -> Result<Subscriptions, OutOfMemory> {
        let mut compact = Subscriptions::default();
        compact.nodes.reserve(self.nodes.live())?;
        compact.texts.reserve(self.texts.live())?;
        compact.nodes.take(1);
        compact.nodes[ROOT] = self.nodes[ROOT];
        let mut at = ROOT;
        while (at as usize) < compact.nodes.len() {
            let mut node = compact.nodes[at];
            if let Some((text, cells)) = node.text() {
                let copy = compact.texts.take(cells);
                compact.texts.slice_mut(copy, cells).copy_from_slice(self.texts.slice(text, cells));
                node.rest = copy.to_ne_bytes();
            }
            let children = self.children(&node);
            if !children.is_empty() {
                node.children = compact.nodes.take(children.len());
                compact.nodes.slice_mut(node.children, children.len()).copy_from_slice(children);
            }
            compact.nodes[at] = node;
            at += 1;
        }
        Ok(compact)
    }

    fn children(&self, node: &Node) -> &[Node] {
        self.nodes.slice(node.children, usize::from(node.width))
    }

    /// The label of the node behind its first byte.
    fn rest<'a>(&'a self, node: &'a Node) -> &'a [u8] {
        let len = usize::from(node.rest_len);
        match node.text() {
            None => &node.rest[..len],
            Some((at, cells)) => &self.texts.slice(at, cells).as_flattened()[..len],
        }
    }

    fn copy_label<'a>(&self, node: &Node, buffer: &'a mut [u8]) -> &'a [u8] {
        let rest = self.rest(node);
        buffer[0] = node.first;
        buffer[1..=rest.len()].copy_from_slice(rest);
        &buffer[..=rest.len()]
    }

    /// A node that has only a label. Room for its text has been reserved.
    fn labelled(&mut self, label: &[u8]) -> Node {
        let (first, rest) = (label[0], &label[1..]);
        let mut node = Node { first, rest_len: rest.len() as u8, ..Node::default() };
        let cells = text_cells(label);
        if cells == 0 {
            node.rest[..rest.len()].copy_from_slice(rest);
        } else {
            let at = self.texts.take(cells);
            let text = self.texts.slice_mut(at, cells).as_flattened_mut();
            text[..rest.len()].copy_from_slice(rest);
            node.rest = at.to_ne_bytes();
        }
        node
    }

    fn drop_text(&mut self, node: &Node) {
        if let Some((at, cells)) = node.text() {
            self.texts.give(at, cells);
        }
    }
}

impl Node {
    fn label_len(&self) -> usize {
        1 + usize::from(self.rest_len)
    }

    /// Where the rest of the label is, and how many pieces it has, unless it is in the node.
    fn text(&self) -> Option<(u32, usize)> {
        let len = usize::from(self.rest_len);
        (len > REST_INLINE_MAX)
            .then(|| (u32::from_ne_bytes(self.rest), len.div_ceil(size_of::<Text>())))
    }
}

impl Cell for Node {
    fn linked_to(next: u32) -> Node {
        Node { children: next, ..Node::default() }
    }

    fn link(self) -> u32 {
        self.children
    }
}

impl Cell for Text {
    fn linked_to(next: u32) -> Text {
        u64::from(next).to_ne_bytes()
    }

    fn link(self) -> u32 {
        u64::from_ne_bytes(self) as u32
    }
}

/// Where among the children the one is whose label begins with `first`, or where it would be.
fn place_of(first: u8, children: &[Node]) -> Result<usize, usize> {
    // Labels that begin with neighbouring bytes, such as digits, are found at once.
    let Some(lowest) = children.first() else { return Err(0) };
    let guess = usize::from(first.wrapping_sub(lowest.first));
    if children.get(guess).is_some_and(|child| child.first == first) {
        return Ok(guess);
    }
    children.binary_search_by_key(&first, |child| child.first)
}

/// How many cells the rest of a label takes, as the pool counts them.
fn text_cells(label: &[u8]) -> usize {
    let rest = label.len() - 1;
    if rest <= REST_INLINE_MAX { 0 } else { class_size(rest.div_ceil(size_of::<Text>())) }
}

fn bytes<T>(cells: usize) -> usize {
    cells * size_of::<T>()
}

const ROOT: u32 = 0;
/// The rest fits a place in the pool of texts as well.
const REST_INLINE_MAX: usize = size_of::<u32>();
/// The length of the rest fits a byte.
const LABEL_MAX: usize = 1 + u8::MAX as usize;
/// Below this many bytes gaps do not matter.
const SPARSE_MIN: usize = 4096;
const _: () = assert!(size_of::<Node>() == 16);

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::pool::shortage;
    use super::*;

    /// The rule of protocols 6.2 as it is written there.
    #[derive(Default)]
    struct Naive {
        topics: BTreeMap<Vec<u8>, usize>,
        /// A topic was too long for one label, or an addition failed.
        may_have_left_parts: bool,
    }

    impl Naive {
        fn add(&mut self, topic: &[u8]) {
            self.may_have_left_parts |= topic.len() > LABEL_MAX;
            *self.topics.entry(topic.to_vec()).or_default() += 1;
        }

        fn remove(&mut self, topic: &[u8]) -> Result<(), NotSubscribed> {
            let count = self.topics.get_mut(topic).ok_or(NotSubscribed)?;
            *count -= 1;
            if *count == 0 {
                self.topics.remove(topic);
            }
            Ok(())
        }

        fn longest(&self, body: &[u8]) -> Option<usize> {
            let topics = self.topics.keys().filter(|topic| body.starts_with(topic));
            topics.map(Vec::len).max()
        }

        fn matches(&self, body: &[u8]) -> bool {
            self.topics.keys().any(|topic| body.starts_with(topic))
        }
    }

    impl Subscriptions {
        fn of(topics: &[&str]) -> Subscriptions {
            let mut subscriptions = Subscriptions::default();
            topics.iter().for_each(|topic| subscriptions.add(topic.as_bytes()).unwrap());
            subscriptions
        }

        /// Bytes that are held and in use, with the gaps that growing left.
        fn memory(&self) -> usize {
            bytes::<Node>(self.nodes.len()) + bytes::<Text>(self.texts.len())
        }

        /// Every cell that is not free is reachable, every node is there for a reason and in
        /// order, and the topics are exactly those of the model.
        fn check(&self, model: &Naive) {
            let mut found = BTreeMap::new();
            let (mut nodes, mut texts) = (0, 0);
            let mut left = Vec::new();
            if !self.is_empty() {
                nodes = 1;
                left.push((self.nodes[ROOT], Vec::new()));
            }
            while let Some((node, topic)) = left.pop() {
                let children = self.children(&node);
                assert!(children.is_sorted_by(|a, b| a.first < b.first));
                if node.count > 0 {
                    found.insert(topic.clone(), node.count as usize);
                } else if let [only] = children {
                    let is_root = nodes == 1;
                    assert!(
                        is_root || model.may_have_left_parts,
                        "{topic:?} goes on with {only:?}"
                    );
                } else {
                    assert!(!children.is_empty(), "nothing is below {topic:?}");
                }
                texts += node.text().map_or(0, |(_, cells)| class_size(cells));
                nodes += if children.is_empty() { 0 } else { class_size(children.len()) };
                for child in children {
                    let below = [&topic, &[child.first][..], self.rest(child)].concat();
                    left.push((*child, below));
                }
            }
            assert_eq!(found, model.topics);
            assert_eq!((self.nodes.live(), self.texts.live()), (nodes, texts));
        }
    }

    /// Few letters, so that topics share much, split often and join again.
    fn short_topic() -> BoxedStrategy<Vec<u8>> {
        let letters = prop::sample::select(vec![0, b'a', b'b', 255]);
        let any_byte = any::<u8>().prop_map(|byte| vec![byte]);
        prop_oneof![6 => prop::collection::vec(letters, 0..6), 1 => any_byte].boxed()
    }

    /// The same with runs of a letter in it, about as long as what labels can hold.
    fn topic() -> BoxedStrategy<Vec<u8>> {
        let run = prop::sample::select(vec![4_usize, 5, 6, 7, 12, 255, 256, 257, 258, 600]);
        let letter = prop::sample::select(vec![b'a', b'b']);
        let long = (short_topic(), letter, run, short_topic())
            .prop_map(|(head, letter, len, tail)| [head, vec![letter; len], tail].concat());
        prop_oneof![2 => short_topic(), 1 => long].boxed()
    }

    #[derive(Clone, Debug)]
    enum Step {
        Add(Vec<u8>),
        /// One of the topics that are there, by its place.
        RemoveKnown(prop::sample::Index),
        RemoveAny(Vec<u8>),
        /// The topic is added while memory runs out.
        AddInVain(Vec<u8>, u32),
        Match(Vec<u8>),
    }

    fn steps(topic: fn() -> BoxedStrategy<Vec<u8>>) -> impl Strategy<Value = Vec<Step>> {
        let in_vain = (topic(), 0..4_u32).prop_map(|(topic, after)| Step::AddInVain(topic, after));
        let step = prop_oneof![
            6 => topic().prop_map(Step::Add),
            4 => any::<prop::sample::Index>().prop_map(Step::RemoveKnown),
            1 => topic().prop_map(Step::RemoveAny),
            1 => in_vain,
            3 => topic().prop_map(Step::Match),
        ];
        prop::collection::vec(step, 0..60)
    }

    fn take(step: Step, subscriptions: &mut Subscriptions, model: &mut Naive) {
        match step {
            Step::Add(topic) => {
                subscriptions.add(&topic).unwrap();
                model.add(&topic);
            }
            Step::RemoveKnown(index) if !model.topics.is_empty() => {
                let topic =
                    model.topics.keys().nth(index.index(model.topics.len())).unwrap().clone();
                assert_eq!(subscriptions.remove(&topic), Ok(()));
                model.remove(&topic).unwrap();
            }
            Step::RemoveKnown(_) => {}
            Step::RemoveAny(topic) => {
                assert_eq!(subscriptions.remove(&topic), model.remove(&topic));
            }
            Step::AddInVain(topic, after) => {
                shortage::after(Some(after));
                let added = subscriptions.add(&topic);
                shortage::after(None);
                match added {
                    Ok(()) => model.add(&topic),
                    Err(OutOfMemory) => model.may_have_left_parts = true,
                }
            }
            Step::Match(body) => {
                assert_eq!(subscriptions.matches(&body), model.matches(&body));
                assert_eq!(subscriptions.longest(&body), model.longest(&body));
                assert_eq!(subscriptions.contains(&body), model.topics.contains_key(&body));
            }
        }
        for topic in model.topics.keys() {
            assert!(subscriptions.matches(topic));
            let shorter = &topic[..topic.len().saturating_sub(1)];
            assert_eq!(subscriptions.matches(shorter), model.matches(shorter));
        }
        assert_eq!(subscriptions.is_empty(), model.topics.is_empty());
    }

    fn take_all(steps: Vec<Step>) {
        let (mut subscriptions, mut model) = (Subscriptions::default(), Naive::default());
        for step in steps {
            take(step, &mut subscriptions, &mut model);
            subscriptions.check(&model);
        }
        for (topic, count) in std::mem::take(&mut model.topics) {
            for _ in 0..count {
                assert_eq!(subscriptions.remove(&topic), Ok(()));
            }
        }
        assert!(subscriptions.is_empty());
        assert_eq!(subscriptions.memory(), 0);
    }

    proptest! {
        #[test]
        fn short_topics_behave_as_the_naive_set(steps in steps(short_topic)) {
            take_all(steps);
        }

        #[test]
        fn topics_of_any_length_behave_as_the_naive_set(steps in steps(topic)) {
            take_all(steps);
        }
    }

    #[test]
    fn a_topic_matches_the_bodies_that_begin_with_it() {
        // protocols 6.2: compared byte by byte; a shorter message does not match.
        let subscriptions = Subscriptions::of(&["abc", "n\0l"]);
        for (body, wanted) in [
            (&b"abc"[..], true),
            (b"abcd", true),
            (b"ab", false),
            (b"", false),
            (b"Abc", false),
            (b"xabc", false),
            (b"n\0l", true),
            (b"n\0", false),
        ] {
            assert_eq!(subscriptions.matches(body), wanted, "{body:?}");
        }
    }

    #[test]
    fn without_a_topic_nothing_matches_and_the_empty_one_matches_everything() {
        let mut subscriptions = Subscriptions::default();
        assert!(!subscriptions.matches(b"") && !subscriptions.matches(b"a"));
        subscriptions.add(b"").unwrap();
        assert!(subscriptions.matches(b"") && subscriptions.matches(b"a"));
        subscriptions.remove(b"").unwrap();
        assert!(!subscriptions.matches(b"") && !subscriptions.matches(b"a"));
    }

    #[test]
    fn as_many_removals_as_additions_are_needed() {
        let mut subscriptions = Subscriptions::of(&["a", "a", "a"]);
        for _ in 0..3 {
            assert!(subscriptions.matches(b"a"));
            assert_eq!(subscriptions.remove(b"a"), Ok(()));
        }
        assert!(!subscriptions.matches(b"a"));
        assert_eq!(subscriptions.remove(b"a"), Err(NotSubscribed));
    }

    #[test]
    fn what_is_not_subscribed_cannot_be_removed_and_nothing_changes() {
        // The rows of the table in protocols 6.2, with what was subscribed before.
        let rows: [(&[&str], &str); 8] = [
            (&[], "a"),
            (&[], ""),
            (&["abc"], ""),
            (&["a"], "b"),
            (&["a"], "ab"),
            (&["ab"], "a"),
            (&["ab", "ac"], "a"),
            (&["ab", "ac"], "ad"),
        ];
        for (topics, stranger) in rows {
            let mut subscriptions = Subscriptions::of(topics);
            assert_eq!(subscriptions.remove(stranger.as_bytes()), Err(NotSubscribed), "{topics:?}");
            let mut model = Naive::default();
            topics.iter().for_each(|topic| model.add(topic.as_bytes()));
            subscriptions.check(&model);
        }
        let mut emptied = Subscriptions::of(&["a"]);
        emptied.remove(b"a").unwrap();
        assert_eq!(emptied.remove(b"a"), Err(NotSubscribed));
    }

    #[test]
    #[cfg_attr(miri, ignore = "too much to interpret")]
    fn nested_topics_may_be_long_and_many() {
        let text: Vec<u8> = (0..100_000_u32).map(|i| (i % 251) as u8).collect();
        let mut subscriptions = Subscriptions::default();
        subscriptions.add(&text).unwrap();
        // Each of these divides a label.
        let nested = || (1..2_000).map(|i| i * 50);
        for len in nested().rev() {
            subscriptions.add(&text[..len]).unwrap();
        }
        assert!(subscriptions.matches(&text[..50]) && !subscriptions.matches(&text[..49]));
        for len in nested() {
            subscriptions.remove(&text[..len]).unwrap();
            assert!(
                subscriptions.matches(&text[..len + 50]) && !subscriptions.matches(&text[..len])
            );
        }
        assert!(subscriptions.matches(&text));
        subscriptions.remove(&text).unwrap();
        assert_eq!(subscriptions.memory(), 0);
    }

    #[test]
    #[cfg_attr(miri, ignore = "too much to interpret")]
    fn a_chain_of_a_node_for_each_byte_is_climbed_without_recursion() {
        let text = vec![b'a'; 3_000];
        let mut subscriptions = Subscriptions::default();
        for len in 1..=text.len() {
            subscriptions.add(&text[..len]).unwrap();
        }
        for len in 1..text.len() {
            assert!(!subscriptions.matches(&text[..len - 1]) && subscriptions.matches(&text));
            subscriptions.remove(&text[..len]).unwrap();
        }
        subscriptions.remove(&text).unwrap();
        assert!(subscriptions.is_empty());
    }

    #[test]
    fn any_byte_may_begin_a_branch() {
        let mut subscriptions = Subscriptions::default();
        let topic = |byte: u8| [b'x', byte.wrapping_mul(167), 7];
        for byte in 0..=255 {
            assert!(!subscriptions.matches(&topic(byte)));
            subscriptions.add(&topic(byte)).unwrap();
            assert!(subscriptions.matches(&topic(byte)));
        }
        for byte in 0..=255 {
            assert_eq!(subscriptions.remove(&topic(byte)), Ok(()));
            assert!(!subscriptions.matches(&topic(byte)));
        }
        assert!(subscriptions.is_empty());
    }

    /// Families of topics as programs have them.
    fn many() -> [(&'static str, Vec<String>); 3] {
        let topics = |name: &dyn Fn(u64) -> String| (0..100_000).map(name).collect();
        [
            ("numbers", topics(&|i| format!("topic.{i}"))),
            ("paths", topics(&|i| format!("plant/{}/sensor/{i}/temperature", i % 100))),
            ("hashes", topics(&|i| format!("{:016x}", i.wrapping_mul(0x9e37_79b9_7f4a_7c15)))),
        ]
    }

    #[test]
    #[cfg_attr(miri, ignore = "too much to interpret")]
    fn a_hundred_thousand_topics_take_less_than_libnanomsg_needs_and_give_it_back() {
        for (family, topics) in many() {
            let mut subscriptions = Subscriptions::default();
            for topic in &topics {
                subscriptions.add(topic.as_bytes()).unwrap();
            }
            assert!(subscriptions.memory() < 4600 << 10, "{family}: {}", subscriptions.memory());
            let full = subscriptions.memory();
            for topic in &topics {
                assert!(subscriptions.matches(topic.as_bytes()));
                assert!(!subscriptions.matches(&topic.as_bytes()[..5]));
            }
            for (removed, topic) in topics.iter().enumerate() {
                assert_eq!(subscriptions.remove(topic.as_bytes()), Ok(()));
                if removed == topics.len() * 9 / 10 {
                    assert!(subscriptions.memory() < full / 3, "{family} keeps idle memory");
                }
            }
            assert_eq!(subscriptions.memory(), 0);
        }
    }

    #[test]
    fn memory_may_run_out_at_every_step_of_adding() {
        let long = [b'l'; 700];
        let cases: [(&[&str], &[u8]); 5] = [
            (&[], b"first"),
            (&["sea"], b"land"),
            (&["long common text, one"], b"long common text, two"),
            (&["long common text, one"], b"long common"),
            (&["longer"], &long),
        ];
        for (topics, topic) in cases {
            let mut refusals = 0;
            loop {
                let mut subscriptions = Subscriptions::of(topics);
                shortage::after(Some(refusals));
                let added = subscriptions.add(topic);
                shortage::after(None);
                if added.is_ok() {
                    break;
                }
                refusals += 1;
                assert!(!subscriptions.matches(topic));
                assert_eq!(subscriptions.remove(topic), Err(NotSubscribed));
                for topic in topics {
                    assert!(subscriptions.matches(topic.as_bytes()));
                    assert_eq!(subscriptions.remove(topic.as_bytes()), Ok(()));
                }
                assert_eq!(subscriptions.memory(), 0);
            }
            assert!(refusals > 0);
        }
    }

    #[test]
    fn nobody_can_subscribe_so_often_that_the_count_wraps() {
        let mut subscriptions = Subscriptions::of(&["a"]);
        let at = subscriptions.find(b"a").unwrap().0;
        subscriptions.nodes[at].count = u32::MAX;
        assert_eq!(subscriptions.add(b"a"), Err(OutOfMemory));
        assert_eq!(subscriptions.remove(b"a"), Ok(()));
        assert!(subscriptions.matches(b"a"));
    }

    #[test]
    #[cfg_attr(miri, ignore = "too much to interpret")]
    fn topics_that_come_and_go_leave_nothing_behind() {
        let mut subscriptions = Subscriptions::of(&["stays"]);
        for round in 0..20_000_u32 {
            let topic = format!("goes {}", round % 37);
            subscriptions.add(topic.as_bytes()).unwrap();
            if round % 5 > 0 {
                subscriptions.remove(topic.as_bytes()).unwrap();
            } else if round >= 37 * 5 {
                // What a former round left.
                subscriptions.remove(topic.as_bytes()).unwrap();
            }
        }
        assert!(subscriptions.memory() <= 2 * SPARSE_MIN, "{}", subscriptions.memory());
    }
}
