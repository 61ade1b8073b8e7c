//! The requests of the branches of one REQ, and whose they are.

use std::collections::BTreeMap;

use super::inquiry::{Inquiry, Parting};
use crate::message::Message;
use crate::protocols::routing::LoadBalancer;
use crate::protocols::{BranchId, PipeId, Pipes, Refusal};

#[derive(Debug, Default)]
pub struct Crowd {
    members: BTreeMap<BranchId, Box<Member>>,
    /// Whose request has that id, while it has no reply.
    askers: BTreeMap<u32, BranchId>,
    /// Those whose request nobody could take, who has waited longest first.
    unsent: BTreeMap<u64, BranchId>,
    /// How many have waited so far.
    turns: u64,
}

#[derive(Debug)]
struct Member {
    inquiry: Inquiry,
    /// Its place among those that wait.
    turn: Option<u64>,
}

impl Crowd {
    pub fn add(&mut self, branch: BranchId, inquiry: Inquiry) {
        self.members.insert(branch, Box::new(Member { inquiry, turn: None }));
    }

    pub fn remove(&mut self, branch: BranchId) {
        if let Some(member) = self.members.remove(&branch) {
            self.askers.remove(&member.inquiry.id);
            member.turn.map(|turn| self.unsent.remove(&turn));
        }
    }

    pub fn get(&self, branch: BranchId) -> Option<&Inquiry> {
        self.members.get(&branch).map(|member| &member.inquiry)
    }

    pub fn get_mut(&mut self, branch: BranchId) -> Option<&mut Inquiry> {
        self.members.get_mut(&branch).map(|member| &mut member.inquiry)
    }

    /// Whether a request with that id waits for its reply.
    pub fn knows(&self, id: u32) -> bool {
        self.askers.contains_key(&id)
    }

    pub fn begin(
        &mut self,
        branch: BranchId,
        id: u32,
        message: &mut Message,
        services: &mut LoadBalancer,
        pipes: &mut dyn Pipes,
    ) -> Result<(), Refusal> {
        let member = self.members.get_mut(&branch).ok_or(Refusal::WrongState)?;
        let before = member.inquiry.id;
        member.inquiry.begin(id, message, services, pipes)?;
        self.askers.remove(&before);
        self.askers.insert(id, branch);
        // Who asks anew waits anew.
        member.turn.take().map(|turn| self.unsent.remove(&turn));
        self.settle(branch);
        Ok(())
    }

    /// A reply has come, maybe to a request of one of these.
    pub fn take_reply(&mut self, id: u32, reply: Message, pipes: &mut dyn Pipes) {
        let Some(branch) = self.askers.remove(&id) else { return };
        if let Some(member) = self.members.get_mut(&branch) {
            member.inquiry.take_reply(reply);
        }
        self.settle(branch);
        pipes.tell_branch(branch);
    }

    /// A service can take a request.
    pub fn service_came(&mut self, services: &mut LoadBalancer, pipes: &mut dyn Pipes) {
        while services.is_writable()
            && let Some((turn, branch)) = self.unsent.first_key_value()
        {
            let (turn, branch) = (*turn, *branch);
            if let Some(member) = self.members.get_mut(&branch) {
                member.inquiry.service_came(services, pipes);
                pipes.tell_branch(branch);
                if member.inquiry.is_unsent() {
                    return;
                }
                member.turn = None;
            }
            self.unsent.remove(&turn);
        }
    }

    pub fn service_left(
        &mut self,
        pipe: PipeId,
        how: Parting,
        services: &mut LoadBalancer,
        pipes: &mut dyn Pipes,
    ) {
        let members = self.members.iter();
        let asked = members.filter(|(_, member)| member.inquiry.is_asked_of(pipe));
        let asked: Vec<_> = asked.map(|(branch, _)| *branch).collect();
        for branch in asked {
            if let Some(member) = self.members.get_mut(&branch) {
                member.inquiry.service_left(pipe, how, services, pipes);
            }
            self.settle(branch);
            pipes.tell_branch(branch);
        }
    }

    pub fn timeout(
        &mut self,
        branch: BranchId,
        services: &mut LoadBalancer,
        pipes: &mut dyn Pipes,
    ) {
        if let Some(member) = self.members.get_mut(&branch) {
            member.inquiry.timeout(services, pipes);
        }
        self.settle(branch);
    }

    /// Has the branch among those that wait, or not, as is right now.
    fn settle(&mut self, branch: BranchId) {
        let Some(member) = self.members.get_mut(&branch) else { return };
        match (member.turn, member.inquiry.is_unsent()) {
            (None, true) => {
                self.turns += 1;
                member.turn = Some(self.turns);
                self.unsent.insert(self.turns, branch);
            }
            (Some(turn), false) => {
                member.turn = None;
                self.unsent.remove(&turn);
            }
            (None, false) | (Some(_), true) => {}
        }
    }
}
