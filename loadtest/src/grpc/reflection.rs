//! Asking a server what it serves (the gRPC server reflection protocol, `v1` and `v1alpha`).

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, Value, prost_types::FileDescriptorProto};
use protox::file::File;
use serde_json::json;

use super::{Call, Channel, Code, Schema, Status};

/// Files that a server may describe.
const FILES_MAX: usize = 10_000;
const METHODS: [&str; 2] = [
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];
/// The messages, as far as they are used here; names do not cross the wire.
const PROTO: &str = r#"
syntax = "proto3";
package reflection;
message Request {
  oneof question { string name = 3; string symbol = 4; string services = 7; }
}
message Response { Files files = 4; Services services = 6; Problem problem = 7; }
message Files { repeated bytes file = 1; }
message Services { repeated Service service = 1; }
message Service { string name = 1; }
message Problem { int32 code = 1; string text = 2; }
"#;

/// Adds to `schema` all that the server says it serves.
pub(crate) async fn reflect(
    channel: &Channel,
    metadata: &[(String, String)],
    schema: &mut Schema,
) -> Result<(), String> {
    let mut asking = Asking::new(channel, metadata)?;
    let services = asking.services().await?;
    let mut files: BTreeMap<String, FileDescriptorProto> = BTreeMap::new();
    let mut missing: VecDeque<(&str, String)> =
        services.into_iter().map(|name| ("symbol", name)).collect();
    while let Some((what, name)) = missing.pop_front() {
        if what == "name" && files.contains_key(&name) {
            continue;
        }
        for file in asking.files(what, &name).await? {
            let needed = file.dependency.iter().filter(|name| !files.contains_key(*name));
            missing.extend(needed.map(|name| ("name", name.clone())));
            files.insert(file.name().to_string(), file);
        }
        if files.len() > FILES_MAX {
            return Err("the server describes too many files".into());
        }
    }
    schema.add_files(files.into_values().collect())
}

struct Asking<'a> {
    channel: &'a Channel,
    metadata: &'a [(String, String)],
    pool: DescriptorPool,
    method: &'static str,
}

impl<'a> Asking<'a> {
    fn new(channel: &'a Channel, metadata: &'a [(String, String)]) -> Result<Self, String> {
        let mut pool = DescriptorPool::new();
        let file = File::from_source("reflection.proto", PROTO);
        let file = file.map_err(|error| error.to_string())?;
        pool.add_file_descriptor_proto(file.file_descriptor_proto().clone())
            .map_err(|error| error.to_string())?;
        Ok(Self { channel, metadata, pool, method: METHODS[0] })
    }

    async fn services(&mut self) -> Result<Vec<String>, String> {
        let answer = match self.ask("services", "*").await {
            Err(status) if status.code == Code::UNIMPLEMENTED => {
                self.method = METHODS[1];
                self.ask("services", "*").await
            }
            answer => answer,
        };
        let answer = answer.map_err(|status| format!("reflection: {}", status.message))?;
        let services = part(&answer, "services");
        let names = services.iter().flat_map(|services| list(services, "service"));
        let names = names.filter_map(|service| {
            let name = service.as_message()?.get_field_by_name("name")?;
            name.as_str().map(str::to_string)
        });
        Ok(names.filter(|name| !name.starts_with("grpc.reflection.")).collect())
    }

    async fn files(&self, what: &str, name: &str) -> Result<Vec<FileDescriptorProto>, String> {
        let answer = self.ask(what, name).await;
        let answer = answer.map_err(|status| format!("reflection: {}", status.message))?;
        if let Some(problem) = part(&answer, "problem") {
            let text = problem.get_field_by_name("text").map(|text| text.to_string());
            return Err(format!("reflection of '{name}': {}", text.unwrap_or_default()));
        }
        let files = part(&answer, "files").map(|files| list(&files, "file")).unwrap_or_default();
        let files = files.iter().filter_map(|file| file.as_bytes()).map(|bytes| {
            FileDescriptorProto::decode(bytes.clone()).map_err(|error| error.to_string())
        });
        files.collect()
    }

    /// One question, one call.
    async fn ask(&self, what: &str, of: &str) -> Result<DynamicMessage, Status> {
        let broken = |why: String| Status::new(Code::INTERNAL, why);
        let message = |name: &str| {
            self.pool.get_message_by_name(name).ok_or_else(|| broken(format!("no {name}")))
        };
        let question = json!({ what: of }).to_string();
        let question = Schema::encode(message("reflection.Request")?, &question).map_err(broken)?;
        let call =
            Call { path: self.method.to_string(), metadata: self.metadata.to_vec(), timeout: None };
        let reply = self.channel.unary(&call, &question).await;
        match reply.messages.first() {
            Some(bytes) if reply.status.code == Code::OK => {
                let bytes = Bytes::clone(bytes);
                DynamicMessage::decode(message("reflection.Response")?, bytes)
                    .map_err(|error| broken(error.to_string()))
            }
            Some(_) => Err(reply.status),
            None if reply.status.code == Code::OK => Err(broken("there was no answer".into())),
            None => Err(reply.status),
        }
    }
}

fn part(message: &DynamicMessage, name: &str) -> Option<DynamicMessage> {
    if !message.has_field_by_name(name) {
        return None;
    }
    message.get_field_by_name(name)?.as_message().cloned()
}

fn list(message: &DynamicMessage, name: &str) -> Vec<Value> {
    let field = message.get_field_by_name(name);
    field.and_then(|field| field.as_list().map(<[Value]>::to_vec)).unwrap_or_default()
}
