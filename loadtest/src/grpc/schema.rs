//! Services and messages, from `.proto` files, from a file of descriptors or from the server.

use std::{
    collections::HashMap,
    fs,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;
use prost::Message as _;
use prost_reflect::{
    DescriptorPool, DynamicMessage, Kind, MessageDescriptor, MethodDescriptor, ReflectMessage as _,
    SerializeOptions, Value, prost_types::FileDescriptorProto,
};
use protox::{
    Compiler,
    file::{ChainFileResolver, File, GoogleFileResolver, IncludeFileResolver},
};
use serde_json::json;

/// What files were read: once, whatever the number of virtual users.
#[derive(Debug, Default)]
pub(crate) struct Schemas(Mutex<HashMap<Vec<PathBuf>, DescriptorPool>>);

impl Schemas {
    /// The descriptors of `files`, which are looked for in `folders`.
    pub(crate) fn compile(
        &self,
        folders: &[PathBuf],
        files: &[String],
    ) -> Result<DescriptorPool, String> {
        let key = folders.iter().cloned().chain(files.iter().map(PathBuf::from)).collect();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = known.get(&key) {
            return Ok(pool.clone());
        }
        let mut resolver = ChainFileResolver::new();
        for folder in folders {
            resolver.add(IncludeFileResolver::new(folder.clone()));
        }
        resolver.add(GoogleFileResolver::new());
        let mut compiler = Compiler::with_file_resolver(resolver);
        compiler.include_imports(true);
        for file in files {
            compiler.open_file(file).map_err(|error| place(&error))?;
        }
        let pool = compiler.descriptor_pool();
        known.insert(key, pool.clone());
        Ok(pool)
    }

    /// The descriptors of a file that `protoc --descriptor_set_out` wrote.
    pub(crate) fn decode(&self, file: &PathBuf) -> Result<DescriptorPool, String> {
        let key = vec![file.clone()];
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = known.get(&key) {
            return Ok(pool.clone());
        }
        let bytes = fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
        let pool = DescriptorPool::decode(&*bytes);
        let pool = pool.map_err(|error| format!("{}: {error}", file.display()))?;
        known.insert(key, pool.clone());
        Ok(pool)
    }
}

/// The service of health checks (the gRPC health checking protocol), as far as it is called.
const HEALTH: &str = r#"
syntax = "proto3";
package grpc.health.v1;
message HealthCheckRequest { string service = 1; }
message HealthCheckResponse {
  enum ServingStatus { UNKNOWN = 0; SERVING = 1; NOT_SERVING = 2; SERVICE_UNKNOWN = 3; }
  ServingStatus status = 1;
}
service Health { rpc Check(HealthCheckRequest) returns (HealthCheckResponse); }
"#;

/// The descriptors of the service of health checks.
pub(crate) fn health() -> Result<Vec<FileDescriptorProto>, String> {
    let file = File::from_source("grpc/health/v1/health.proto", HEALTH);
    let file = file.map_err(|error| error.to_string())?;
    Ok(vec![file.file_descriptor_proto().clone()])
}

/// What is wrong with a file, and where.
fn place(error: &protox::Error) -> String {
    let text = error.to_string();
    match error.file() {
        Some(file) if !text.contains(file) => format!("{file}: {text}"),
        _ => text,
    }
}

/// What a client knows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Schema {
    pool: DescriptorPool,
}

impl Schema {
    /// Adds what is not known yet; gives the methods of `pool` as scripts see them, JSON.
    pub(crate) fn add(&mut self, pool: &DescriptorPool) -> Result<String, String> {
        let files: Vec<FileDescriptorProto> = pool.file_descriptor_protos().cloned().collect();
        self.add_files(files)?;
        let methods = pool.services().flat_map(|service| {
            let methods: Vec<_> = service.methods().map(|method| info(&method)).collect();
            methods
        });
        Ok(serde_json::Value::from(methods.collect::<Vec<_>>()).to_string())
    }

    /// Adds files by their descriptors.
    pub(crate) fn add_files(&mut self, files: Vec<FileDescriptorProto>) -> Result<(), String> {
        let new =
            files.into_iter().filter(|file| self.pool.get_file_by_name(file.name()).is_none());
        let new: Vec<_> = new.collect();
        self.pool.add_file_descriptor_protos(new).map_err(|error| error.to_string())
    }

    /// The method `package.Service/Method`.
    pub(crate) fn method(&self, name: &str) -> Option<MethodDescriptor> {
        let (service, method) = name.trim_start_matches('/').rsplit_once('/')?;
        let service = self.pool.get_service_by_name(service)?;
        service.methods().find(|other| other.name() == method)
    }

    /// A message of JSON.
    pub(crate) fn encode(message: MessageDescriptor, json: &str) -> Result<Bytes, String> {
        let mut reader = serde_json::Deserializer::from_str(json);
        let message = DynamicMessage::deserialize(message, &mut reader);
        let message = message.map_err(|error| error.to_string())?;
        reader.end().map_err(|error| error.to_string())?;
        Ok(message.encode_to_vec().into())
    }

    /// A message as JSON, with the fields that have no value.
    pub(crate) fn decode(message: MessageDescriptor, bytes: &Bytes) -> Result<String, String> {
        let message = DynamicMessage::decode(message, bytes.clone());
        let message = message.map_err(|error| error.to_string())?;
        let options = SerializeOptions::new().skip_default_fields(false);
        let json = message.serialize_with_options(serde_json::value::Serializer, &options);
        let mut json = json.map_err(|error| error.to_string())?;
        put_nulls(&mut json, &message);
        Ok(json.to_string())
    }
}

/// Sets the messages that are not there to null, as protobuf's own JSON does where fields without
/// a value are shown.
fn put_nulls(json: &mut serde_json::Value, message: &DynamicMessage) {
    let (Some(json), descriptor) = (json.as_object_mut(), message.descriptor()) else { return };
    // What is known to every language has a JSON of its own.
    if descriptor.full_name().starts_with("google.protobuf.") {
        return;
    }
    for field in descriptor.fields() {
        if !matches!(field.kind(), Kind::Message(_)) || field.is_map() {
            continue;
        }
        let name = field.json_name();
        if !message.has_field(&field) {
            if !field.is_list() && field.containing_oneof().is_none() {
                json.insert(name.to_string(), serde_json::Value::Null);
            }
            continue;
        }
        let Some(inner) = json.get_mut(name) else { continue };
        match (&*message.get_field(&field), inner) {
            (Value::Message(message), inner) => put_nulls(inner, message),
            (Value::List(all), serde_json::Value::Array(inner)) => {
                let messages = all.iter().zip(inner);
                messages.for_each(|(value, inner)| {
                    value.as_message().into_iter().for_each(|m| put_nulls(inner, m));
                });
            }
            _ => {}
        }
    }
}

fn info(method: &MethodDescriptor) -> serde_json::Value {
    let service = method.parent_service();
    json!({
        "package": service.package_name(),
        "service": service.name(),
        "full_method": format!("/{}/{}", service.full_name(), method.name()),
        "name": method.name(),
        "is_client_stream": method.is_client_streaming(),
        "is_server_stream": method.is_server_streaming(),
    })
}
