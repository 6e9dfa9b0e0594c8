package snowflake

import (
	"cmp"

	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/trust"
)

const (
	defaultSchema = "PUBLIC"
	configuring   = "configure target snowflake"
)

// Spec declares the target "snowflake".
func Spec() stream.SinkSpec {
	return stream.SinkSpec{
		Name: "snowflake",
		Doc:  "Tables in a schema of a Snowflake database; rows and offset in one transaction. Names are quoted: upper and lower case count.",
		Settings: []stream.Setting{
			{Name: "account", Kind: stream.SettingString, Required: true, Doc: "Account identifier, such as myorg-account1."},
			{Name: "url", Kind: stream.SettingURL,
				Doc: "https://host:443 of a private endpoint, or a reference to such a URL; the account's public endpoint when absent."},
			{Name: "user", Kind: stream.SettingString, Required: true, Doc: "User to sign in as."},
			{Name: "password", Kind: stream.SettingSecret, Doc: "Password or programmatic access token, read again at each connection."},
			{Name: "private_key", Kind: stream.SettingSecret,
				Doc: "Private key (RSA, PKCS #8 in PEM form, not encrypted) to sign in with instead of a password, read again at each connection."},
			trust.Setting(),
			{Name: "database", Kind: stream.SettingString, Required: true, Doc: "Database that the schema lies in, as SHOW DATABASES spells it."},
			{Name: "schema", Kind: stream.SettingString, Default: stream.StringOf(defaultSchema),
				Doc: "Schema that the tables lie in, as SHOW SCHEMAS spells it; created when it is absent."},
			{Name: "warehouse", Kind: stream.SettingString, Doc: "Warehouse that runs the statements; the user's default when absent."},
			{Name: "role", Kind: stream.SettingString, Doc: "Role to work in; the user's default when absent."},
			{Name: "vectors", Kind: stream.SettingString, Enum: []string{"array", "vector"}, Default: stream.StringOf("array"),
				Doc: "Type of columns of f32 vectors: ARRAY, or VECTOR(FLOAT, dimensions) for vector functions."},
		},
		TableSettings: []stream.Setting{
			{Name: "table", Kind: stream.SettingString, Doc: "Name of the table in the schema; the table's own name when absent."},
		},
		Guarantees: stream.Guarantees{Transactional: true, AtomicDocuments: true, Vectors: true, Deletes: true, Fronts: true},
		New:        New,
	}
}

// New checks names, types and settings and returns a sink that is not yet open. It does no I/O. Faults have kind Usage.
func New(c stream.SinkConfig) (stream.Sink, error) {
	text := c.Settings.String
	s := &Sink{account: text("account"), user: text("user"), url: c.Settings.Secret("url"), password: c.Settings.Secret("password"),
		privateKey: c.Settings.Secret("private_key"), ca: c.Settings.Path("ca"), warehouse: text("warehouse"), role: text("role"),
		schema: schema{text("database"), cmp.Or(text("schema"), defaultSchema)}, tables: map[string]*table{}}
	if err := s.checkSettings(); err != nil {
		return nil, err
	}
	taken := map[string]string{}
	for _, declared := range c.Tables {
		t, err := newTable(s.schema, declared, text("vectors") == "vector")
		if err != nil {
			return nil, err
		}
		if other, found := taken[t.name]; found {
			return nil, stream.Errorf(stream.Usage, configuring,
				"tables %s and %s would both be kept in %q; give one of them another name by its setting `table`", other, t.decl.Name, t.name)
		}
		taken[t.name] = t.decl.Name
		s.tables[t.decl.Name] = t
		s.order = append(s.order, t)
	}
	return s, nil
}

func (s *Sink) checkSettings() error {
	for name, value := range map[string]string{"account": s.account, "user": s.user, "database": s.schema.database} {
		if value == "" {
			return stream.Errorf(stream.Usage, configuring, "setting %s is missing", name)
		}
	}
	if s.password.IsZero() == s.privateKey.IsZero() {
		return stream.Errorf(stream.Usage, configuring, "give one of the settings password and private_key")
	}
	if err := checkName("database", s.schema.database); err != nil {
		return err
	}
	return checkName("schema", s.schema.name)
}
