//! Branches in the mesh: nodes without pipes, whose machine asks that of their trunk.

use super::{Event, Mesh, NodeId};
use crate::protocols::{Branch, BranchId, Branches, Pipes};

impl Mesh {
    pub(super) fn open_branch(&mut self, trunk: NodeId) -> NodeId {
        let id = BranchId(self.nodes.len() as u32);
        self.ask_trunk(trunk, |branches, _| branches.add(id));
        let number = self.nodes[trunk].number;
        let node = self.add_node(number, Box::new(Branch::new(id)), Some((trunk, id)));
        self.nodes[trunk].branches.insert(id, node);
        node
    }

    /// Ends a branch, which nobody calls from now on.
    pub(super) fn close_branch(&mut self, node: NodeId) {
        let (trunk, id) = self.nodes[node].trunk.unwrap();
        self.nodes[trunk].branches.remove(&id);
        self.nodes[node].machine = Some(Box::new(Branch::new(id)));
        self.ask_trunk(trunk, |branches, _| branches.remove(id));
    }

    pub(super) fn ask_trunk<R>(
        &mut self,
        trunk: NodeId,
        question: impl FnOnce(&mut dyn Branches, &mut dyn Pipes) -> R,
    ) -> R {
        self.with(trunk, |machine, view| question(machine.branches().unwrap(), view))
    }

    /// Has the branches hear what they have been told, unless somebody runs.
    pub(super) fn tell_branches(&mut self) {
        while self.depth == 0
            && let Some(node) = self.told.pop_front()
        {
            self.note(node, Event::Told);
            self.with(node, |machine, view| machine.trunk_changed(view));
        }
    }
}
