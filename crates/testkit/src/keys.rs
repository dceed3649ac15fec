//! The key pair with which servers of tests are configured.

/// The API key of the pair that every test server knows, in the project `default`.
pub const KEY: &str = "devkey";
/// Its secret.
pub const SECRET: &str = "secretsecretsecretsecretsecretsecret";
